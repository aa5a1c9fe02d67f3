"""MaPLe (arXiv 2210.03117): prompts in the first layers of the text tower, each mapped to one of the vision tower."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import TEXT, VISION, Acting, numbered
from headroles.adapt.methods.coop import SCHEDULE
from headroles.adapt.methods.prompted_towers import PromptedTowers, begin_words, draw_prompts, prompt_depth
from headroles.adapt.methods.tokens import draw_linear
from headroles.checks import check_least
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class MapleConfig(Settings):
    """Settings of MaPLe, as published for base-to-novel."""

    context: int = 2
    """Prompts of a layer."""
    init: str = "a photo of a"
    """Words before the class name, the first of which the first layer's text prompts begin with and replace; "": no
    words, and prompts drawn from N(0, .02)."""
    depth: int | None = None
    """Layers with prompts of their own, from layer 0 on; None: three quarters of the shallower tower's, as the
    published 9 of 12 (that rule is ours). For cross-dataset 3 are published."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, context=1)
        if self.depth is not None:
            check_least(self, depth=1)


class Maple(PromptedTowers):
    """Text prompts, and a linear map of each to prompts behind the image's patches."""

    name = "maple"
    title = "MaPLe"
    source = "https://arxiv.org/abs/2210.03117"
    settings = MapleConfig
    preset: ClassVar[Mapping[str, Any]] = {**SCHEDULE, "lr": 3.5e-3, "batch": 4, "epochs": 5}

    config: MapleConfig
    prompts: nn.ParameterList
    """The text tower's, layer by layer."""
    maps: nn.ModuleList
    """From a layer's text prompts to its image prompts; below the first layer they begin alike, as in the authors'
    code."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: MapleConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        count, depth = self.config.context, prompt_depth(model, self.config.depth)
        generator = torch.Generator().manual_seed(seed)
        width, wide = self.text_tower.width, model.visual.width
        first = begin_words(model, self.config.init, count, generator)
        self.prompts = nn.ParameterList([first, *draw_prompts(depth - 1, count, width, generator)])
        shallow, deep = draw_linear(width, wide, generator), draw_linear(width, wide, generator)
        self.maps = nn.ModuleList([shallow, *(copy.deepcopy(deep) for _ in range(depth - 1))])
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [MaPLe]({cls.source}) adapter: prompts in the text tower, and their images in the vision tower."

    def text_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        return list(self.prompts)

    def image_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        return [mapped(prompts) for mapped, prompts in zip(self.maps, self.prompts, strict=True)]

    def acting(self) -> dict[str, Acting]:
        return numbered(self.state_dict(), "prompts", TEXT) | numbered(self.state_dict(), "maps", VISION)
