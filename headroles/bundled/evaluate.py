"""Zero-shot accuracy of a CLIP on the shapes world, concept by concept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor

from headroles.checks import typed
from headroles.shapes.captions import value_texts
from headroles.shapes.render import render
from headroles.shapes.world import ABSENT, CONCEPTS, NAMES, sample_scene

TEST_SEED = 1_000_003
"""Seed of the evaluation scenes; training uses other seeds."""


@dataclass(frozen=True)
class Accuracy:
    """Share of right answers within one concept."""

    right: int
    total: int

    @property
    def mean(self) -> float:
        """The share, in [0, 1]."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval."""
        low, high = binomtest(self.right, self.total).proportion_ci(0.95, "wilson")
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.mean:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


@typed
@torch.inference_mode()
def zero_shot(
    embed_images: Callable[[Tensor], Tensor],
    embed_texts: Callable[[list[str]], Tensor],
    scenes: int = 2000,
    split: str = "all",
    seed: int = TEST_SEED,
) -> dict[str, Accuracy]:
    """Accuracy of every concept over fresh scenes; a value is the mean of all its short descriptions.

    `embed_images` takes uint8 (image, 64, 64, 3), both return one embedding a row, of any norm.
    """
    classifiers = {
        concept: torch.stack(
            [F.normalize(embed_texts(value_texts(concept, value)), dim=-1).mean(0) for value in values]
        )
        for concept, values in CONCEPTS.items()
    }
    right = dict.fromkeys(NAMES, 0)
    total = dict.fromkeys(NAMES, 0)
    for start in range(0, scenes, 250):
        batch = [sample_scene(seed, index, split) for index in range(start, min(start + 250, scenes))]
        images = embed_images(torch.from_numpy(np.stack([render(scene) for scene in batch])))
        labels = torch.tensor([scene.labels for scene in batch])
        for column, concept in enumerate(NAMES):
            has = labels[:, column] != ABSENT
            guess = (images[has] @ F.normalize(classifiers[concept], dim=-1).T).argmax(1)
            right[concept] += int((guess == labels[has, column]).sum())
            total[concept] += int(has.sum())
    return {concept: Accuracy(right[concept], total[concept]) for concept in NAMES}
