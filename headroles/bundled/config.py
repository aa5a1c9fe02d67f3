"""All settings of the bundled models' training."""

from __future__ import annotations

from dataclasses import dataclass, field

from headroles.bundled.clip import Architecture


@dataclass(frozen=True)
class TrainConfig:
    """All that decides the result; written beside the weights."""

    architecture: Architecture = field(default_factory=Architecture)
    steps: int = 4200
    """Optimiser steps."""
    batch: int = 64
    """Images, and as many captions, a step."""
    lr: float = 3e-3
    """Peak learning rate of matrices."""
    lr_ratio: float = 0.4
    """Learning rate of everything else, as a share of `lr`."""
    warmup: int = 50
    """Steps of linear warm-up before the cosine decay to zero."""
    weight_decay: float = 0.05
    """Decoupled weight decay of matrices."""
    contrast: float = 1.0
    """Weight of the image-caption loss."""
    concept: float = 4.0
    """Weight of the within-concept loss over texts."""
    anchor: float = 4.0
    """Weight of each anchor loss at the start; it falls to zero by the middle of the training."""
    patches: bool = True
    """Whether the patches that show the item learn the anchors too."""
    late: float = 1.0
    """Weight of the share of variance that CLS has before the deep layers; 0 where a tower has none."""
    specialists: float = 1.0
    """Weight of the specialists' mixing; see `headroles.bundled.specialists`."""
    half: bool = True
    """Forward in bfloat16 (weights, norms, softmax and losses stay in float32)."""
    seed: int = 0
    """Seed of the initial weights and of the stream of scenes."""


RECIPES = {
    "shapes": TrainConfig(),
    "shapes-natural": TrainConfig(
        architecture=Architecture(width=192, heads=12, patch=16, mlps=5),
        steps=3750,
        batch=128,
        warmup=100,
        patches=False,
        late=0.0,
        specialists=0.0,
        half=False,
    ),
}
"""Name of a bundled model -> what it was trained with. The first has roles that its loss asks for; the loss of
`shapes-natural` is of images and texts alone."""
