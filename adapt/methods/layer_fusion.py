"""Attentive layer fusion (arXiv 2601.09322): a learned query over an image's tokens of all layers, and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cross_entropy

from headroles.adapt.config import Settings, TrainConfig
from headroles.adapt.methods.attentive_fusion import AttentiveFusion
from headroles.adapt.methods.features import Batch, at_least_single
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.methods.layer_tokens import check_cls, flat_layers, layer_places
from headroles.adapt.methods.linear_probe import TrainedClasses
from headroles.adapt.methods.method import Look, Method
from headroles.adapt.methods.tokens import draw_linear
from headroles.adapt.methods.training_data import TrainingData
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class LayerFusionConfig(Settings):
    """Settings of the fusion, as published."""

    attention_heads: int | None = None
    """Heads of the learned attention; None: as many as there are tokens."""
    attention_dropout: float = 0.0
    """Share of the attention's weights that a training step leaves out, in [0, 1); published are 0, .1 and .3, chosen
    on validation images."""
    noise: float = 0.05
    """Deviation of the noise that training adds to the tokens of half of the images."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, noise=0)
        if self.attention_heads is not None:
            check_least(self, attention_heads=1)
        if not 0 <= self.attention_dropout < 1:
            raise InputError(f"attention_dropout must be at least 0 and below 1, got {self.attention_dropout}")


class Fusing(Method):
    """What both kinds share: tokens that are computed once, the attention over them, and its mean over a task's images.

    A subclass calls `_build` within its `__init__`.
    """

    source = "https://arxiv.org/abs/2601.09322"
    preset_by_data = "as many epochs as make 1,000 steps, at least 40"

    fusion: AttentiveFusion
    """The learned query and its maps."""
    class_weights: Float[Tensor, "class"]
    """Of the loss: trained images a class over those of the class."""
    attention: Float[Tensor, "token"]
    """Mean weight of every token over the training images; they sum to 1."""

    def _build(self, places: Sequence[tuple[int, str]], width: int, outputs: int, seed: int) -> torch.Generator:
        """The fusion of so many tokens: `places` are their layers, and what of a layer they are."""
        self.places = tuple(places)
        """Layer of every token, and what of the layer it is."""
        self.embed = self.model.visual.embed
        """Width of the embedding, which stands behind the tokens in a trunk."""
        generator = torch.Generator().manual_seed(seed)
        heads = self.config.attention_heads or len(places)
        self.fusion = AttentiveFusion(width, heads, outputs, self.config.attention_dropout, generator)
        self.register_buffer("class_weights", torch.ones(max(1, len(self.classes))))
        self.register_buffer("attention", torch.zeros(len(places)))
        return generator

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        return {"epochs": max(40, data.epochs(1000, train.batch))}

    def tokens(self, trunk: Float[Tensor, "image number"]) -> Float[Tensor, "image token width"]:
        """The trunk's tokens, of length 1. Here: those of layers."""
        return trunk[:, : -self.embed].view(len(trunk), len(self.places), -1)

    def frozen_images(self, trunk: Float[Tensor, "image number"]) -> Float[Tensor, "image embed"]:
        return trunk[:, -self.embed :]

    def fuse(
        self, trunk: Float[Tensor, "image number"]
    ) -> tuple[Float[Tensor, "image output"], Float[Tensor, "image head token"]]:
        """What the query gathers of every image, and with which weights."""
        tokens = at_least_single(self.tokens(trunk))
        if self.training and self.config.noise:
            noisy = torch.rand(len(tokens), 1, 1, device=tokens.device) < 0.5
            tokens = tokens + self.config.noise * noisy * torch.randn_like(tokens)
        found: tuple[Tensor, Tensor] = self.fusion(tokens)
        return found

    def start(self, look: Look) -> None:
        labels = torch.cat([batch.labels for batch in look(None)])
        counts = labels.bincount(minlength=len(self.class_weights))
        self.class_weights.copy_(len(labels) / (len(counts) * counts.clamp(min=1)))

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        logits = self.logits(self.encode_images(batch.trunk), self.encode_texts(batch.texts))
        return logits, {"ce": self.weighted_loss(logits, batch.labels)}

    def weighted_loss(self, logits: Float[Tensor, "image class"], labels: Int[Tensor, "image"]) -> Float[Tensor, ""]:
        """Cross-entropy in which all classes weigh alike."""
        return cross_entropy(logits, labels, self.class_weights)

    def settle(self, look: Look, validation: Look | None) -> None:
        weights = torch.cat([self.fuse(batch.trunk)[1].mean(1) for batch in look(None)])
        self.attention.copy_(weights.mean(0))

    def findings(self) -> Findings:
        weights = dict(zip(self.places, self.attention.tolist(), strict=True))
        most = sorted(weights, key=lambda place: -weights[place])[:5]
        names = ", ".join(f"{self._name(place)} {100 * weights[place]:.1f}%" for place in most)
        parts = tuple(
            Found(layer, kind, int(kind[1:]) if kind.startswith("H") else None, {"attention": weights[layer, kind]})
            for layer, kind in self.places
        )
        return Findings(self.name, (f"most attended of {len(weights)} tokens: {names}",), parts, "attention")

    def _name(self, place: tuple[int, str]) -> str:
        layer, kind = place
        return f"{kind} of the final norm" if layer == self.model.visual.layers else f"L{layer}.{kind}"


class LayerFusion(Fusing):
    """A BatchNorm and a linear layer over what the query gathers of layers: it knows the trained classes alone.

    The learning rate is one of those that the authors choose from; weight decay is ours.
    """

    name = "layer-fusion"
    title = "attentive layer fusion"
    settings = LayerFusionConfig
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-2, "weight_decay": 1e-2, "batch": 32, "epochs": 40, "warmup_epochs": 0, "clip_norm": 5.0},
        **{"augment": False, "cache_views": 1},
    }
    novel = ""
    needs_classes = True

    config: LayerFusionConfig
    head: nn.Linear
    """From what is gathered to the trained classes."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: LayerFusionConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        width = model.visual.width
        generator = self._build(layer_places(model), width, width, seed)
        self.scaled = nn.BatchNorm1d(width)
        self.head = draw_linear(width, len(self.classes), generator)
        self.place()

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        super().check_model(model)
        check_cls(model, cls.title)

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"An adapter by [{cls.title}]({cls.source}), which knows the trained classes alone."

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image number"]:
        return flat_layers(self.model, pixels)

    def encode_images(self, trunk: Float[Tensor, "image number"]) -> Float[Tensor, "image width"]:
        gathered, norm = self.fuse(trunk)[0], self.scaled
        if not self.training or len(gathered) > 1:
            found: Tensor = norm(gathered)
            return found
        # One image has no deviation: it gets that of those before.
        return batch_norm(gathered, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    def class_trunk(self, names: Sequence[str], template: str) -> TrainedClasses:
        return TrainedClasses.find(self, names, template)

    def encode_texts(self, texts: TrainedClasses) -> Int[Tensor, "class"] | None:
        return texts.places

    def logits(
        self, images: Float[Tensor, "image width"], classes: Int[Tensor, "class"] | None
    ) -> Float[Tensor, "image class"]:
        found = at_least_single(self.head(images))
        return found if classes is None else found[:, classes]
