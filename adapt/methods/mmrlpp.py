"""MMRL++ (arXiv 2505.10088): MMRL with one map a tower, low-rank residuals a layer, and tokens that flow on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from headroles.adapt.config import MaskConfig, TrainConfig
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.entry import known_core, note_core
from headroles.adapt.methods.features import Batch, TextTrunk
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.mmrl import Representation, RepresentationConfig
from headroles.adapt.methods.role_masks import RoleMasks, split_groups
from headroles.adapt.methods.tokens import LayerTokens, draw_uniform
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.adapt.methods.training_data import TrainingData
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

TUNED: Mapping[str, tuple[float, float]] = {
    **{"imagenet": (0.9, 0.2), "caltech-101": (0.6, 3.0), "oxford_pets": (0.7, 0.01), "stanford_cars": (0.7, 6.0)},
    **{"oxford_flowers": (0.4, 7.0), "food-101": (0.1, 1.0), "fgvc_aircraft": (0.9, 2.0), "sun397": (0.5, 3.0)},
    **{"dtd": (0.9, 7.0), "eurosat": (0.2, 0.01), "ucf101": (0.9, 3.0)},
}
"""Data set -> beta and regularization that the authors set for it, base-to-novel and few-shot."""


@dataclass(frozen=True)
class MmrlPlusConfig(MaskConfig, RepresentationConfig):
    """Settings of MMRL++; with a role map its masks are DeAR's (ours), whose core concepts name the tokens."""

    beta: float = 0.9
    """Entering a later layer, a token is beta * its layer's own + (1 - beta) * its output of the layer before."""
    tuned_for: str = ""
    """A data set (a key of `TUNED`): beta and regularization are those that the authors set for it; "": as above."""
    rank: int = 4
    """Rank of a layer's residual to its tower's map."""
    projection_rank: int = 64
    """Rank of the representation's residual to CLIP's projection."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_masks()
        check_choices(self, tuned_for=("", *TUNED))
        check_least(self, rank=1, projection_rank=1)
        if not 0 <= self.beta <= 1:
            raise InputError(f"beta must be between 0 and 1, got {self.beta}")


class SharedMap(nn.Module):
    """From the shared space to the layers of a tower: (W + A_l B_l) r + b_l."""

    def __init__(self, space: int, width: int, layers: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw_uniform(width, space, generator=generator))
        """W, of all layers."""
        bias = draw_uniform(width, inputs=space, generator=generator)
        self.bias = nn.Parameter(bias.repeat(layers, 1))
        """b, a row a layer; they begin alike, as in the authors' code."""
        self.up = nn.Parameter(draw_uniform(layers, width, rank, generator=generator))
        """A, layer by layer."""
        self.down = nn.Parameter(torch.zeros(layers, rank, space))
        """B, layer by layer; 0 at the start."""

    def forward(self, shared: Float[Tensor, "token space"], first: int) -> dict[int, Float[Tensor, "token width"]]:
        """Layer, from `first` on -> tokens."""
        weights = self.weight + self.up @ self.down
        return {first + row: linear(shared, weights[row], bias) for row, bias in enumerate(self.bias)}


class MmrlPlus(Representation):
    """One map a tower, a low-rank residual and a bias a layer; a low-rank residual to CLIP's projection.

    With a role map each token is named by a core concept, and DeAR's masks let heads exchange with the tokens of their
    concepts alone: DeAR's mask on MMRL++ (ours).
    """

    name = "mmrlpp"
    title = "MMRL++"
    source = "https://arxiv.org/abs/2505.10088"
    settings = MmrlPlusConfig
    role_maps = "taken"
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-3, "weight_decay": 5e-4, "batch": 4, "epochs": 10, "warmup_epochs": 1, "warmup_lr": 1e-5},
    }
    preset_by_data = "lr 2e-3, batches of 32 and 100 epochs for the protocol few-shot"

    config: MmrlPlusConfig
    role_masks: RoleMasks | None
    """Which heads let which named tokens through; None without a role map."""
    shared: Float[Tensor, "token space"]
    """R, the tokens in the shared space."""
    image_map: SharedMap
    """To the vision tower."""
    text_map: SharedMap
    """To the text tower."""
    up: Float[Tensor, "width rank"]
    """A of the projection P + A B, P CLIP's own."""
    down: Float[Tensor, "rank embed"]
    """B; 0 at the start."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: MmrlPlusConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        config, generator = self.config, torch.Generator().manual_seed(seed)
        tower, texts, space, rank = model.visual, self.text_tower, config.space, config.rank
        self.role_masks = None
        count = config.tokens if role_map is None else self._build_masks(role_map)
        self.shared = nn.Parameter(0.02 * torch.randn(count, space, generator=generator))
        self.image_map = SharedMap(space, tower.width, tower.layers - self.layer, rank, generator)
        self.text_map = SharedMap(space, texts.width, texts.layers - self.text_layer, rank, generator)
        self.up = nn.Parameter(draw_uniform(tower.width, config.projection_rank, generator=generator))
        self.down = nn.Parameter(torch.zeros(config.projection_rank, tower.embed))
        self.place()

    def _build_masks(self, role_map: RoleMap) -> int:
        """The number of named tokens."""
        config, patches = self.config, self.model.patches
        self.attributes = known_core(role_map, config.core)
        layers = range(self.layer, self.model.visual.layers)
        self.role_masks = RoleMasks(role_map, layers, self.attributes, patches, config)
        self.apart = self.role_masks.apart
        return len(self.attributes)

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: MmrlPlusConfig) -> int:
        return cls.first_entry(model, config)

    @classmethod
    def mask_of(cls, config: MmrlPlusConfig) -> tuple[str, int, float]:
        return config.mask, config.mask_seed, config.mask_floor

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        return {"lr": 2e-3, "batch": 32, "epochs": 100} if data.protocol == "few-shot" else {}

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"""An [MMRL++]({cls.source}) adapter: representation tokens in both towers, from layer {layer} on,
mapped from one shared space by one map a tower with low-rank residuals."""

    @property
    def regularization(self) -> float:
        tuned = TUNED.get(self.config.tuned_for)
        return self.config.regularization if tuned is None else tuned[1]

    @property
    def beta(self) -> float:
        """Share of a layer's own tokens."""
        tuned = TUNED.get(self.config.tuned_for)
        return self.config.beta if tuned is None else tuned[0]

    def masks(self) -> dict[int, Float[Tensor, "head token token"]]:
        return {} if self.role_masks is None else self.role_masks()

    def image_tokens(self) -> LayerTokens:
        return LayerTokens(self.image_map(self.shared, self.layer), self.beta)

    def text_tokens(self, texts: TextTrunk) -> LayerTokens:
        return LayerTokens(self.text_map(self.shared, self.text_layer), self.beta)

    def project(self, normed: Float[Tensor, "image width"]) -> Float[Tensor, "image embed"]:
        return normed @ (self._projection + self.up @ self.down)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        logits, terms = super().forward(batch)
        return logits, terms | ({} if self.role_masks is None else self.role_masks.losses())

    def trained_groups(self) -> tuple[TrainedGroup, ...]:
        return split_groups(super().trained_groups(), self.role_masks)

    def acting(self) -> dict[str, Acting]:
        deep = range(self.layer, self.model.visual.layers)
        texts = range(self.text_layer, self.text_tower.layers)
        found = {"image_map.weight": Acting.vision(deep), "text_map.weight": Acting.text(texts)}
        for part in ("bias", "up", "down"):
            found[f"image_map.{part}"] = Acting.vision(deep, "layers")
            found[f"text_map.{part}"] = Acting.text(texts, "layers")
        if self.attributes:
            found |= {"shared": Acting.vision(deep, "attributes"), "role_masks.logits": Acting.vision(deep, "layers")}
        return found | dict.fromkeys(("up", "down"), Acting.vision(self.model.visual.layers - 1))

    def fusion_weights(self) -> dict[str, float]:
        """The representation's share is spread evenly on the tokens that it is the mean of."""
        alpha = self.config.alpha
        return {"cls": alpha, **dict.fromkeys(self.attributes, (1 - alpha) / len(self.attributes))}

    def notes(self) -> tuple[str, ...]:
        return () if self.role_map is None else note_core(self.role_map, self.config.core, self.layer)

    def findings(self) -> Findings | None:
        """Of learned masks, where their weights ended."""
        return None if self.role_masks is None else self.role_masks.findings(self.name)

    def served_tensors(self) -> dict[str, Tensor]:
        tokens = {f"adapter.image_tokens.{layer}": each for layer, each in self.image_tokens().values.items()}
        masks = {} if self.role_masks is None else self.role_masks.served_tensors()
        return {**tokens, **masks, "adapter.projection": self._projection + self.up @ self.down}
