"""Skip Tuning (CVPR 2025, arXiv 2412.11509): the later layers of both towers, and few classes a step.

Layers are skipped as their output is computed once and kept (LSkip); classes are skipped as only those that a batch's
images could be taken for go through the text tower (CSkip).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.features import Batch, TextTrunk, unit
from headroles.adapt.methods.method import Look
from headroles.adapt.methods.own_weights import OwnWeights, names_within, swapped
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.adapt.methods.upper_layers import UpperLayers, UpperMethod, pick_classes
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

_DEPTH, _SKIPPED = 12, 5
"""Layers of the published model's towers, and how many of them are skipped."""


@dataclass(frozen=True)
class SkipTuningConfig(Settings):
    """Settings of Skip Tuning, as published where nothing else is said."""

    layer: int | None = None
    """The first tuned layer of the vision tower, 0-based; the text tower's is at the same fraction of its layers.
    None: 5 of 12, which is that of the published ViT-B/16, and the same fraction of other towers."""
    image_rate: float = 0.25
    """The vision tower's learning rate, as a multiple of the text tower's, which is `lr`."""
    kept: int = 50
    """Of the classes in a step, an image keeps its own and the most similar, so many at most."""
    kept_share: float = 0.5
    """And at most this share of all classes, in (0, 1]."""
    decay: float = 0.3
    """lambda: the class that is r-th behind the kept ones stays with probability exp(-lambda r). That classes are drawn
    one by one, and that a batch's images share theirs, is ours."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, kept=1)
        self._check_above_zero("image_rate", "decay")
        if self.layer is not None:
            check_least(self, layer=0)
        if not 0 < self.kept_share <= 1:
            raise InputError(f"kept_share must be above 0 and at most 1, got {self.kept_share}")


class SkipTuning(UpperMethod):
    """Copies of the later layers' weights, last norms and projections included; cross-entropy over a step's classes.

    The trunk is of one view of an image, without augmentation; this, momentum and warm-up are ours.
    """

    name = "skip-tuning"
    title = "Skip Tuning"
    source = "https://arxiv.org/abs/2412.11509"
    settings = SkipTuningConfig
    preset: ClassVar[Mapping[str, Any]] = {
        **{"optimizer": "sgd", "momentum": 0.9, "lr": 2e-5, "batch": 4, "epochs": 20},
        **{"augment": False, "cache_views": 1},
    }
    novel = "by their texts, through the tuned text tower"
    needs_classes = True
    needs_frozen_images = True

    config: SkipTuningConfig
    vision: OwnWeights
    """Tuned weights of the vision tower."""
    text: OwnWeights
    """Tuned weights of the text tower."""
    prototypes: Float[Tensor, "class embed"]
    """Unit means of the frozen embeddings of every class's training images."""
    layer: int

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: SkipTuningConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        vision, text = model.visual, self.text_tower
        given = self.config.layer
        self.layer = vision.layers * _SKIPPED // _DEPTH if given is None else given
        if self.layer >= vision.layers:
            raise InputError(f"layer: the vision tower's last is {vision.layers - 1}, got {self.layer}")
        first = self.layer * text.layers // vision.layers
        self.vision = OwnWeights(model, names_within(model, vision.upper_modules(self.layer)))
        self.text = OwnWeights(model, names_within(model, text.upper_modules(first)))
        self.__dict__["_upper"] = UpperLayers(model, self.layer, first)
        self.register_buffer("prototypes", torch.zeros(len(self.classes), vision.embed))
        self.place()

    def acting(self) -> dict[str, Acting]:
        return self.vision.acting("vision") | self.text.acting("text")

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"Weights of CLIP's towers from vision layer {layer} on, tuned by [Skip Tuning]({cls.source})."

    def trained_groups(self) -> tuple[TrainedGroup, ...]:
        images, texts = (tuple(part.parameters()) for part in (self.vision, self.text))
        return TrainedGroup(texts), TrainedGroup(images, self.config.image_rate)

    def start(self, look: Look) -> None:
        sums = torch.zeros_like(self.prototypes)
        for batch in look(None):
            frozen = self.frozen_images(batch.trunk) if batch.frozen is None else batch.frozen
            sums.index_add_(0, batch.labels, frozen.to(sums.dtype))
        self.prototypes.copy_(unit(sums))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        with swapped(self.model, self.vision.tensors()):
            return self._upper.embed_images(trunk)

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        with swapped(self.model, self.text.tensors()):
            return self._upper.embed_texts(texts)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Logits of skipped classes are -inf."""
        frozen = self.frozen_images(batch.trunk) if batch.frozen is None else batch.frozen
        present = self.keep_classes(frozen, batch.labels).any(0).nonzero()[:, 0]
        found = self.logits(self.encode_images(batch.trunk), self.encode_texts(pick_classes(batch.texts, present)))
        logits = found.new_full((len(found), len(self.classes)), -torch.inf).index_copy(1, present, found)
        return logits, {"ce": cross_entropy(logits, batch.labels)}

    def keep_classes(
        self, frozen: Float[Tensor, "image embed"], labels: Int[Tensor, "image"]
    ) -> Bool[Tensor, "image class"]:
        """Which classes stay for which image: its own, the most similar, and of the others some by chance."""
        similar = frozen @ self.prototypes.to(frozen.dtype).T
        similar = similar.scatter(1, labels[:, None], torch.inf)
        count = similar.shape[1]
        sure = max(1, min(self.config.kept, int(count * self.config.kept_share)))
        ranks = similar.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        behind = (ranks - sure + 1).clamp(min=0)
        return torch.rand(behind.shape, device=behind.device) < torch.exp(-self.config.decay * behind)

    def served_tensors(self) -> dict[str, Tensor]:
        return {f"adapter.{name}": tensor for name, tensor in self.vision.state_dict().items()}
