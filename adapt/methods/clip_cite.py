"""CLIP-CITE (arXiv 2407.04003): both towers tuned in three losses, then averaged with the frozen ones.

Which share of a head's weights is tuned may also depend on its role: the cheapest test there is of whether roles
protect what the model knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headroles.adapt.config import Settings, TrainConfig
from headroles.adapt.methods.features import Batch, unit
from headroles.adapt.methods.fine_tuning import WholeMethod, pick_tokens
from headroles.adapt.methods.method import Look
from headroles.adapt.methods.own_weights import OwnWeights
from headroles.adapt.methods.role_numbers import ROLE_VARIANTS, number_heads, spread_over_weights
from headroles.adapt.methods.training_data import TrainingData
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

UNIFORM = "uniform"
AVERAGES = (UNIFORM, *ROLE_VARIANTS)
"""How shares are given out; see `ClipCiteConfig.average`."""


@dataclass(frozen=True)
class ClipCiteConfig(Settings):
    """Settings of CLIP-CITE: weights of the losses and share as published; what depends on roles is ours."""

    contrast: float = 0.7
    """Weight of the contrastive loss between the batch's images and their classes' texts; 0: off."""
    distill: float = 0.1
    """Weight of the KL divergence of the batch's similarities, tuned from frozen; 0: off. That images' rows alone are
    compared, at CLIP's own temperature, is ours."""
    alpha: float = 0.5
    """Share of the tuned weights, in [0, 1], in all that roles do not decide; the rest is frozen CLIP's."""
    average: str = UNIFORM
    """Shares of vision heads: "uniform", alpha for all; by a role map "role", or "random" (roles shuffled), "inverted"
    (Attribute and Generalization exchanged). Mixed, silent and unscored heads have alpha. Ours."""
    attribute: float = 1.0
    """Share of tuned weights in Attribute heads, where roles decide. Ours."""
    generalization: float = 0.0
    """Share of tuned weights in Generalization heads, where roles decide. Ours."""
    roles_seed: int = 0
    """Seed of "random"."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, average=AVERAGES)
        check_least(self, contrast=0, distill=0, roles_seed=0)
        for name in ("alpha", "attribute", "generalization"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


class ClipCite(WholeMethod):
    """All weights of both towers, and a vector a class, which begins as the class's text and serves training alone.

    Training runs the tuned weights. Whenever the method is in evaluation mode, the average of tuned and frozen ones
    stands in their place, so that an adapter can be asked again with another `config`, without training.
    """

    name = "clip-cite"
    title = "CLIP-CITE"
    source = "https://arxiv.org/abs/2407.04003"
    settings = ClipCiteConfig
    preset: ClassVar[Mapping[str, Any]] = {"lr": 5e-6, "batch": 32, "epochs": 20, "warmup_epochs": 0}
    preset_by_data = "batches of 16 for EuroSAT, of 64 for ImageNet"
    role_maps = "taken"
    novel = "by their texts, through the averaged text tower"
    needs_classes = True

    config: ClipCiteConfig
    vectors: Float[Tensor, "class embed"]
    """A trained vector of every class."""
    needs_frozen_images = True

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: ClipCiteConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        if role_map is None and self.config.average != UNIFORM:
            raise InputError(
                f"role map: clip-cite with average {self.config.average} needs one; make it: headroles score, and give "
                "--role-map, or take average uniform"
            )
        self.weights = OwnWeights(model, (*model.tower_weights(text=False), *model.tower_weights(text=True)))
        self.vectors = nn.Parameter(torch.zeros(len(self.classes), model.visual.embed))
        self._averaged: tuple[Any, dict[str, Tensor]] | None = None
        self.place()

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: ClipCiteConfig) -> int:
        return model.visual.layers if config.average == UNIFORM else 0

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        sizes = {"eurosat": 16, "imagenet": 64}
        return {"batch": sizes[data.task]} if data.task in sizes else {}

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"Weights of CLIP's towers, tuned by [CLIP-CITE]({cls.source}), which are averaged with its own."

    def start(self, look: Look) -> None:
        self.vectors.data.copy_(next(look(None)).texts.frozen)

    def shares(self) -> dict[str, Tensor | float]:
        """The share of the tuned in every weight, by its name in the CLIP."""
        config, model = self.config, self.model
        shares: dict[str, Tensor | float] = dict.fromkeys(self.weights.names, config.alpha)
        if config.average == UNIFORM or self.role_map is None:
            return shares
        numbers = {"attribute": config.attribute, "generalization": config.generalization}
        heads = number_heads(self.role_map, model.visual, numbers, config.alpha, config.average, config.roles_seed)
        return {**shares, **spread_over_weights(model, heads)}

    def tensors(self) -> dict[str, Tensor]:
        """What stands in for the CLIP's weights: the tuned ones in training, else their average with the frozen."""
        if self.training:
            self._averaged = None
            return self.weights.tensors()
        # A parameter's version rises with every change in place.
        state = (self.config, [tensor._version for tensor in self.weights.tensors().values()])
        if self._averaged is None or self._averaged[0] != state:
            self._averaged = (state, self.weights.averaged(self.shares()))
        return self._averaged[1]

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        images, config = self.encode_images(batch.trunk), self.config
        logits = self.logits(images, unit(self.vectors))
        terms = {"ce": cross_entropy(logits, batch.labels)}
        if not config.contrast and not config.distill:
            return logits, terms
        present, places = batch.labels.unique(return_inverse=True)
        texts = self.encode_texts(pick_tokens(batch.texts, present))[places]
        similar = self.logits(images, texts)
        if config.contrast:
            terms["contrast"] = config.contrast * contrast(similar, batch.labels)
        if config.distill:
            frozen = self.frozen_targets(batch.trunk) if batch.frozen is None else batch.frozen
            before = self.logits(frozen, batch.texts.frozen[batch.labels])
            terms["distill"] = config.distill * divergence(similar, before)
        return logits, terms

    def notes(self) -> tuple[str, ...]:
        if self.role_map is not None and self.config.average == UNIFORM:
            return ("role map: not used with average uniform; set average to role",)
        return ()

    def served_tensors(self) -> dict[str, Tensor]:
        return {f"adapter.{name}": tensor for name, tensor in self.tensors().items()}


def contrast(similar: Float[Tensor, "image text"], labels: Int[Tensor, "image"]) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of images and their own class's texts; others of the same class are no negatives."""
    same = labels[:, None] == labels
    others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    kept, own = similar.masked_fill(others, -torch.inf), torch.arange(len(labels), device=labels.device)
    return (cross_entropy(kept, own) + cross_entropy(kept.T, own)) / 2


def divergence(tuned: Float[Tensor, "image text"], frozen: Float[Tensor, "image text"]) -> Float[Tensor, ""]:
    """KL(softmax of tuned || softmax of frozen), mean over images."""
    logs = tuned.log_softmax(-1)
    return (logs.exp() * (logs - frozen.log_softmax(-1))).sum(-1).mean()
