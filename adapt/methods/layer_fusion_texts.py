"""Attentive fusion by texts, ours after arXiv 2601.09322: what a learned query gathers moves the image's embedding.

So classes are named by texts, also those never seen. The tokens are those of layers, or what every head writes: the
attention over them then says which heads a task uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.adapt.methods.features import Batch, distance, unit
from headroles.adapt.methods.head_trunk import HeadTrunk, head_parts
from headroles.adapt.methods.layer_fusion import Fusing, LayerFusion, LayerFusionConfig
from headroles.adapt.methods.layer_tokens import check_cls, flat_layers, layer_places
from headroles.adapt.methods.role_numbers import pick_heads
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

LAYERS, HEADS = TOKENS = ("layers", "heads")
"""What the query attends to."""


@dataclass(frozen=True)
class LayerFusionTextsConfig(LayerFusionConfig):
    """Settings of the fusion by texts; those that the other has not are ours."""

    tokens: str = LAYERS
    """"layers": CLS and mean patch of each; "heads": what each head writes into the embedding, exactly."""
    roles: tuple[str, ...] = ()
    """Roles of the heads that are tokens, by the role map; none: all heads are."""
    lambda_image: float = 1.0
    """Weight of 1 - cosine of images to frozen CLIP's; 0: off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, tokens=TOKENS)
        check_least(self, lambda_image=0)
        if self.roles and self.tokens != HEADS:
            raise InputError("roles are of heads; take tokens heads as well")


class LayerFusionTexts(Fusing):
    """What the query gathers is added to the image's embedding; it begins as nothing, which is zero-shot CLIP. Ours."""

    name = "layer-fusion-texts"
    title = "attentive fusion by texts"
    settings = LayerFusionTextsConfig
    preset: ClassVar[Mapping[str, Any]] = {**LayerFusion.preset, "lr": 3e-4}
    role_maps = "taken"

    config: LayerFusionTextsConfig

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: LayerFusionTextsConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        tower = model.visual
        if self.config.tokens == HEADS:
            self._heads = pick_heads(self.config.roles, role_map, tower)
            self._build([(layer, f"H{head}") for layer, head in self._heads], tower.embed, tower.embed, seed)
        else:
            check_cls(model, self.title)
            self._build(layer_places(model), tower.width, tower.embed, seed)
        for tensor in self.fusion.out.parameters():
            nn.init.zeros_(tensor)
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"An adapter by [{cls.title}]({cls.source}): what a learned query gathers is added to the embedding."

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image number"]:
        if self.config.tokens == HEADS:
            return HeadTrunk.observe(self.model, pixels).flat()
        return flat_layers(self.model, pixels)

    def tokens(self, trunk: Float[Tensor, "image number"]) -> Float[Tensor, "image token width"]:
        if self.config.tokens != HEADS:
            return super().tokens(trunk)
        return unit(head_parts(self.model, HeadTrunk.of(self.model, trunk).outputs, self._heads))

    def encode_images(self, trunk: Float[Tensor, "image number"]) -> Float[Tensor, "image embed"]:
        return unit(self.frozen_images(trunk) + self.fuse(trunk)[0])

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Cross-entropy; "image": distance from the frozen embeddings."""
        images = self.encode_images(batch.trunk)
        logits = self.logits(images, self.encode_texts(batch.texts))
        terms = {"ce": self.weighted_loss(logits, batch.labels)}
        if self.config.lambda_image:
            terms["image"] = self.config.lambda_image * distance(images, self.frozen_images(batch.trunk))
        return logits, terms
