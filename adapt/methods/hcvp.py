"""HCVP (arXiv 2401.09716): tokens made of each image for its domain and for the task, taught by contrasts.

Published for a vision transformer that is tuned whole, with a ResNet to make the tokens from. Here the CLIP is frozen,
its own features make them, and classes are named by texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm

from headroles.adapt.config import HARD_MASKS, ISOLATED, OPEN, Settings
from headroles.adapt.methods.branches import ImageBranch
from headroles.adapt.methods.features import Batch, unit
from headroles.adapt.methods.layer_tokens import check_cls
from headroles.adapt.methods.masks import is_isolating, masked_kinds
from headroles.adapt.methods.method import Look
from headroles.adapt.methods.tokens import draw_linear
from headroles.adapt.methods.upper_layers import UpperLayers, UpperVision
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import first_deep_layer
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class HcvpConfig(Settings):
    """Settings of HCVP. The authors search the contrasts' weights for each data set: these, and roles, are ours."""

    layer: int | None = None
    """The vision layer at whose input the tokens enter, and whose CLS they are made of; None: the first of the last
    third. Published: the first of all, with features of another network."""
    domain_contrast: float = 0.1
    """Weight of the contrast of domain tokens: those of one domain are alike; 0: off."""
    task_contrast: float = 0.1
    """Weight of the contrast of task tokens: those of one class and domain are alike; 0: off."""
    class_contrast: float = 0.1
    """Weight of the contrast of CLS: those of one class are alike, whatever the domain; 0: off."""
    temperature: float = 1.0
    """Of the contrasts, as published."""
    mask: str = "role"
    """With a role map: "role" (see below), "open" (no mask), "layer" (a layer's heads all alike), "random" (roles
    shuffled), "inverted"."""
    mask_seed: int = 0
    """Seed of the "random" mask."""
    domain_concepts: tuple[str, ...] = ("style", "color", "texture", "material", "background", "brightness", "weather")
    """Attribute heads of these let the domain token through to CLS and patches, as far as the bank knows them."""
    task_concepts: tuple[str, ...] = ("object", "shape", "animal", "food", "person", "action")
    """Attribute heads of these let the task token through; Mixed heads both, all others neither."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, mask=HARD_MASKS)
        check_least(self, domain_contrast=0, task_contrast=0, class_contrast=0, mask_seed=0)
        self._check_above_zero("temperature")
        if self.layer is not None:
            check_least(self, layer=0)
        both = sorted(set(self.domain_concepts) & set(self.task_concepts))
        if both:
            raise InputError(f"task_concepts must not be among domain_concepts, got {', '.join(both)}")
        if {ISOLATED, OPEN} & {*self.domain_concepts, *self.task_concepts}:
            raise InputError(f"domain_concepts and task_concepts must be concepts, none named {ISOLATED} or {OPEN}")


@dataclass(frozen=True)
class ImageTokens:
    """Tokens of each image's own: the first layer's, and what takes their place at every later one."""

    first: Float[Tensor, "image token width"]
    """Entering the first layer."""
    deeper: Float[Tensor, "image token width"]
    """Entering every other."""
    count: int = 2
    """Tokens of an image."""

    def entering(
        self, layer: int, batch: int, previous: Float[Tensor, "image token width"] | None = None
    ) -> Float[Tensor, "image token width"]:
        """What enters a layer; `previous`: what the layer before made of them, None at the first."""
        return self.first if previous is None else self.deeper


class Hcvp(UpperVision):
    """Two linear maps make the tokens, a third modulates them for the deeper layers. The schedule is ours."""

    name = "hcvp"
    title = "HCVP"
    source = "https://arxiv.org/abs/2401.09716"
    settings = HcvpConfig
    preset: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "weight_decay": 1e-2, "batch": 32, "epochs": 20}
    role_maps = "taken"

    config: HcvpConfig
    layer: int
    """The vision layer at whose input the tokens enter."""
    domain: nn.Linear
    """From CLS of that layer to the domain token."""
    task: nn.Linear
    """From that CLS and the domain token to the task token."""
    modulation: nn.Linear
    """From either to what enters the deeper layers."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: HcvpConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        tower = model.visual
        self.layer = self.first_layer(model, self.config)
        if self.layer >= tower.layers:
            raise InputError(f"layer: tokens cannot enter at layer {self.layer}; the last is {tower.layers - 1}")
        self.__dict__["_upper"] = UpperLayers(model, self.layer, self.text_tower.layers)
        generator = torch.Generator().manual_seed(seed)
        self.domain = draw_linear(tower.width, tower.width, generator)
        self.task = draw_linear(2 * tower.width, tower.width, generator)
        self.modulation = draw_linear(tower.width, tower.width, generator)
        masks = {} if role_map is None else self._mask(role_map)
        for layer, mask in masks.items():
            self.register_buffer(f"mask_{layer}", mask, persistent=False)
        self._masked = tuple(masks)
        apart = frozenset(layer for layer, mask in masks.items() if is_isolating(mask, 1 + model.patches))
        self.__dict__["_branch"] = ImageBranch(tower, self.layer, apart)
        self.place()

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        super().check_model(model)
        check_cls(model, cls.title)

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: HcvpConfig) -> int:
        return first_deep_layer(model.visual.layers) if config.layer is None else config.layer

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"""An [HCVP]({cls.source}) adapter: a token for each image's domain and one for the task in the vision
tower, from layer {layer} on."""

    def _mask(self, role_map: RoleMap) -> dict[int, Float[Tensor, "head token token"]]:
        """Layer -> its mask; layers whose heads are all open have none."""
        config = self.config
        known = [tuple(each for each in group if each in role_map.concepts) for group in self._groups]
        if not any(known):
            raise InputError(
                f"domain_concepts: the role map's bank {role_map.bank.name} knows none of them, nor of task_concepts; "
                f"its concepts: {', '.join(role_map.concepts)}"
            )
        layers = range(self.layer, self.model.visual.layers)
        kinds = masked_kinds(role_map, layers, [*known[0], *known[1]], config.mask, config.mask_seed)
        through = {
            layer: torch.tensor([[kind == OPEN or kind in group for group in known] for kind in heads])
            for layer, heads in kinds.items()
        }
        return {layer: part_tokens(each, 1 + self.model.patches) for layer, each in through.items() if not each.all()}

    @property
    def _groups(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.config.domain_concepts, self.config.task_concepts

    def start(self, look: Look) -> None:
        if next(look(None)).domains is None and (self.config.domain_contrast or self.config.task_contrast):
            LOG.info(f"{self.name}: the training images have no domains, so that classes alone are contrasted")

    def make_tokens(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image 2 width"]:
        """The domain token and the task token of every image."""
        seen = trunk[:, 0].to(self.domain.weight.dtype)
        seen = layer_norm(seen, seen.shape[-1:])  # Few of the stream's numbers are far larger than all others.
        domain = self.domain(seen)
        return torch.stack([domain, self.task(torch.cat([seen, domain], 1))], 1)

    def run_images(
        self, trunk: Float[Tensor, "image token width"], made: Float[Tensor, "image 2 width"]
    ) -> Float[Tensor, "image embed"]:
        """Unit embeddings of images beside their tokens."""
        tokens = ImageTokens(made, self.modulation(made))
        masks = {layer: self.get_buffer(f"mask_{layer}") for layer in self._masked}
        originals, _ = self.__dict__["_branch"].run(trunk.to(self.model.dtype), tokens, masks)
        return unit(self.model.visual.read(originals[:, 0]))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        return self.run_images(trunk, self.make_tokens(trunk))

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Cross-entropy; "domain", "task", "class": the contrasts, as far as domains are known."""
        config, domains, labels = self.config, batch.domains, batch.labels
        made = self.make_tokens(batch.trunk)
        images = self.run_images(batch.trunk, made)
        logits = self.logits(images, batch.texts.frozen)
        terms = {"ce": cross_entropy(logits, labels)}
        same = labels[:, None] == labels
        together = torch.ones_like(same) if domains is None else domains[:, None] == domains
        contrasts = {
            "domain": (0.0 if domains is None else config.domain_contrast, made[:, 0], together),
            "task": (config.task_contrast, made[:, 1], same & together),
            "class": (config.class_contrast, images, same),
        }
        for name, (weight, rows, alike) in contrasts.items():
            if weight:
                terms[name] = weight * contrast_rows(unit(rows), alike, config.temperature)
        return logits, terms

    def notes(self) -> tuple[str, ...]:
        if self.role_map is None or self.config.mask == "open":
            return ()
        layers = range(self.layer, self.model.visual.layers)
        spoken = {head.concept for head in self.role_map.heads(role="attribute") if head.layer in layers}
        lines = zip(("domain", "task"), self._groups, strict=True)
        return tuple(
            f"{name}_concepts: no Attribute head from layer {self.layer} on is of {', '.join(group)}"
            for name, group in lines
            if not spoken & set(group)
        )

    def served_tensors(self) -> dict[str, Tensor]:
        masks = {f"adapter.{name}": value for name, value in self.named_buffers() if name.startswith("mask_")}
        return {**super().served_tensors(), **masks}


def part_tokens(through: Bool[Tensor, "head learned"], originals: int) -> Float[Tensor, "head token token"]:
    """What is added to scores: -inf between the originals, with the tokens that are let through, and the rest."""
    group = torch.cat([torch.ones(len(through), originals, dtype=torch.bool), through], 1)
    apart = group[:, :, None] != group[:, None]
    return torch.zeros(apart.shape).masked_fill(apart, -torch.inf)


def contrast_rows(
    rows: Float[Tensor, "image width"], alike: Bool[Tensor, "image image"], temperature: float
) -> Float[Tensor, ""]:
    """Supervised contrast (arXiv 2004.11362, equation 2): of a row's softmax over all others, -log of those alike.

    Mean over those alike, then over the rows that have any; 0 where none has.
    """
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    scores = (rows @ rows.T / temperature).masked_fill(itself, -torch.inf)
    logs = scores.log_softmax(1).masked_fill(itself, 0.0)
    others = alike & ~itself
    counts = others.sum(1)
    means = -(logs * others).sum(1) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)
