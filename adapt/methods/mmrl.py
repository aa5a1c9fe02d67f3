"""MMRL (arXiv 2503.08497): representation tokens of both towers' later layers, mapped from one shared space."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import TEXT, VISION, Acting, numbered
from headroles.adapt.methods.branches import start_texts
from headroles.adapt.methods.features import Batch, ImageFeatures, TextTrunk, distance, unit
from headroles.adapt.methods.tokens import LayerTokens, draw_linear
from headroles.adapt.methods.two_towers import TwoTowers
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.images.prompts import write_prompts
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import in_full_precision
from headroles.roles.role_map import RoleMap

UNIFIED, DECOUPLED = INFERENCES = ("unified", "decoupled")
"""Which logits classes get that training did not see: fused as all others, or those of CLS alone."""
RANDOM, CLIP = PROJECTIONS = ("random", "clip")
"""What the representation's projection begins with."""


@dataclass(frozen=True)
class RepresentationConfig(Settings):
    """What MMRL and MMRL++ have in common."""

    regularization: float = 1.0
    """Weight of 1 - cosine of images to frozen CLIP's, and of texts to theirs; one for all data sets, where the authors
    set it anew for each."""
    tokens: int = 5
    """Representation tokens."""
    space: int = 512
    """Width of the space that they are mapped from; published for EuroSAT: 2048 (MMRL alone)."""
    layer: int | None = None
    """The first vision layer with tokens; None: five twelfths down the tower, as the published 5 of 12 (that rule is
    ours). A text tower of another depth starts at the same fraction of its layers."""
    alpha: float = 0.7
    """Share of CLS in loss and logits, in [0, 1]; the rest is the representation's."""
    inference: str = UNIFIED
    """"unified": all classes get fused logits (ours). "decoupled": classes that were not trained get those of CLS
    alone, as published, which tells the model which half of the classes it is asked about."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, inference=INFERENCES)
        check_least(self, regularization=0, tokens=1, space=1)
        if self.layer is not None:
            check_least(self, layer=0)
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha must be between 0 and 1, got {self.alpha}")


@dataclass(frozen=True)
class MmrlConfig(RepresentationConfig):
    """Settings of MMRL."""

    projection: str = RANDOM
    """What the representation's projection begins with: "random", N(0, 1 / width), as in the authors' code, or "clip",
    a copy of CLIP's own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, projection=PROJECTIONS)


@dataclass(frozen=True)
class WeighedTexts:
    """Adapted classes."""

    embeddings: Float[Tensor, "class embed"]
    """Unit embeddings."""
    cls: Float[Tensor, "class"]
    """Share of CLS in each class's logit."""


class Representation(TwoTowers):
    """What MMRL and MMRL++ have in common: tokens of both towers, a second feature of images, losses and logits.

    A subclass builds its tensors and gives `image_tokens`, `text_tokens` and `project`.
    """

    settings = RepresentationConfig
    novel = "by their texts, behind the learned text tokens"
    attributes: tuple[str, ...] = ("representation",)

    config: RepresentationConfig
    _norm: nn.Module
    _projection: Float[Tensor, "width embed"]

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: RepresentationConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        if self.config.inference == DECOUPLED and not classes:
            raise InputError(
                f"classes: {self.name} has to be told the names that are trained where inference is {DECOUPLED}"
            )
        self.layer = self.first_entry(model, self.config)
        self.text_layer = min(self.layer * self.text_tower.layers // model.visual.layers, self.text_tower.layers - 1)
        norm, projection = model.visual.copy_readout()
        single = torch.promote_types(model.dtype, torch.float32)
        # Plain references: CLIP's own readout is no part of the adapter.
        own = projection.get_parameter("weight").detach().T.to(single).contiguous()
        self.__dict__["_norm"], self.__dict__["_projection"] = norm.to(single), own

    @classmethod
    def first_entry(cls, model: HookedCLIP, config: RepresentationConfig) -> int:
        """The first vision layer with tokens."""
        layers = model.visual.layers
        if config.layer is not None and config.layer >= layers:
            raise InputError(f"layer: tokens cannot enter at layer {config.layer}; the last is {layers - 1}")
        return 5 * layers // 12 if config.layer is None else config.layer

    @property
    def regularization(self) -> float:
        """Weight of the distances from the frozen embeddings."""
        return self.config.regularization

    def project(self, normed: Float[Tensor, "image width"]) -> Float[Tensor, "image embed"]:
        """The representation, not normalised, of the mean of its tokens behind the final LayerNorm."""
        raise NotImplementedError

    @property
    def needs_frozen_images(self) -> bool:
        return bool(self.regularization)

    def class_trunk(self, names: Sequence[str], template: str) -> TextTrunk:
        trunk = start_texts(self.model, self.text_tower, write_prompts(template, names), self.text_layer)
        return dataclasses.replace(trunk, names=tuple(names))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> ImageFeatures:
        cls, tokens = self.run_images(trunk)
        normed = self._norm(tokens.to(self._projection.dtype)).mean(1)
        return ImageFeatures(unit(self.model.visual.read(cls)), unit(self.project(normed))[:, None])

    def encode_texts(self, texts: TextTrunk) -> WeighedTexts:
        embedded = self.embed_texts(texts)
        alone = [self.config.inference == DECOUPLED and name not in self.classes for name in texts.names]
        alpha = [1.0 if each else self.config.alpha for each in alone]
        return WeighedTexts(embedded, torch.tensor(alpha, dtype=embedded.dtype, device=self.device))

    def logits(self, images: ImageFeatures, classes: WeighedTexts) -> Float[Tensor, "image class"]:
        cls, representation = self.both_logits(images, classes)
        return classes.cls * cls + (1 - classes.cls) * representation

    @in_full_precision
    def both_logits(
        self, images: ImageFeatures, classes: WeighedTexts
    ) -> tuple[Float[Tensor, "image class"], Float[Tensor, "image class"]]:
        """Those of CLS and of the representation, never in half precision."""
        scaled = self.scale * classes.embeddings.T
        return images.cls @ scaled, images.attributes[:, 0] @ scaled

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Fused logits; "ce" of CLS, "representation" its own, "image", "text": distances from the frozen ones."""
        images, classes = self.encode_images(batch.trunk), self.encode_texts(batch.texts)
        cls, representation = self.both_logits(images, classes)
        alpha, weight = self.config.alpha, self.regularization
        terms = {
            "ce": alpha * cross_entropy(cls, batch.labels),
            "representation": (1 - alpha) * cross_entropy(representation, batch.labels),
        }
        if weight:
            frozen = self.given_frozen(batch.frozen, batch.trunk)
            terms["image"] = weight * distance(images.cls, frozen)
            terms["text"] = weight * distance(classes.embeddings, batch.texts.frozen)
        return alpha * cls + (1 - alpha) * representation, terms

    def fusion_weights(self) -> dict[str, float]:
        return {"cls": self.config.alpha, "representation": 1 - self.config.alpha}


class Mmrl(Representation):
    """A map of each layer from the shared space to either tower, and a projection of its own for the representation."""

    name = "mmrl"
    title = "MMRL"
    source = "https://arxiv.org/abs/2503.08497"
    settings = MmrlConfig
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-3, "weight_decay": 5e-4, "batch": 4, "epochs": 10, "warmup_epochs": 1, "warmup_lr": 1e-5},
    }

    config: MmrlConfig
    shared: Float[Tensor, "token space"]
    """R, the tokens in the shared space."""
    image_maps: nn.ModuleList
    """To the vision tower, layer by layer; they begin alike, as in the authors' code, and so do the text tower's."""
    text_maps: nn.ModuleList
    """To the text tower, layer by layer."""
    projection: Float[Tensor, "width embed"]
    """Of the representation."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: MmrlConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        generator = torch.Generator().manual_seed(seed)
        tower, texts, space = model.visual, self.text_tower, self.config.space
        self.shared = nn.Parameter(0.02 * torch.randn(self.config.tokens, space, generator=generator))
        self.image_maps = _copies(draw_linear(space, tower.width, generator), tower.layers - self.layer)
        self.text_maps = _copies(draw_linear(space, texts.width, generator), texts.layers - self.text_layer)
        drawn = tower.width**-0.5 * torch.randn(tower.width, tower.embed, generator=generator)
        self.projection = nn.Parameter(drawn if self.config.projection == RANDOM else self._projection.clone())
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"""An [{cls.title}]({cls.source}) adapter: representation tokens in both towers, from layer {layer} on,
mapped from one shared space."""

    def image_tokens(self) -> LayerTokens:
        return LayerTokens({self.layer + row: mapped(self.shared) for row, mapped in enumerate(self.image_maps)})

    def text_tokens(self, texts: TextTrunk) -> LayerTokens:
        return LayerTokens({self.text_layer + row: mapped(self.shared) for row, mapped in enumerate(self.text_maps)})

    def project(self, normed: Float[Tensor, "image width"]) -> Float[Tensor, "image embed"]:
        return normed @ self.projection

    def acting(self) -> dict[str, Acting]:
        names = self.state_dict()
        maps = numbered(names, "image_maps", VISION, self.layer) | numbered(names, "text_maps", TEXT, self.text_layer)
        return {**maps, "projection": Acting.vision(self.model.visual.layers - 1)}

    def served_tensors(self) -> dict[str, Tensor]:
        values = self.image_tokens().values
        tokens = {f"adapter.image_tokens.{layer}": each for layer, each in values.items()}
        return {**tokens, "adapter.projection": self.projection}


def _copies(first: nn.Linear, count: int) -> nn.ModuleList:
    return nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(count - 1))])
