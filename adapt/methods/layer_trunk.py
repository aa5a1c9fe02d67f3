"""What methods share that leave the vision tower as it is below one of its layers."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.branches import embed_from
from headroles.adapt.methods.features import residual_before, unit
from headroles.adapt.methods.method import Method


class LayerTrunk(Method):
    """The trunk of an image is its residual stream before `layer`, which a subclass sets."""

    layer: int
    """The first vision layer that learned tokens run through."""

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before the first layer with learned tokens; no learned tensor plays a part."""
        return self.model.visual.run(self.model.start_images(pixels), range(self.layer))

    @property
    def trunk_kind(self) -> Hashable:
        return residual_before(self.layer)

    @torch.no_grad()
    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        tower = self.model.visual
        return unit(tower.read(tower.run(trunk.to(self.model.dtype), range(self.layer, tower.layers))[:, 0]))

    @torch.no_grad()
    def frozen_targets(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """`frozen_images` to rounding: of the last layer CLS alone."""
        return embed_from(self.model.visual, trunk.to(self.model.dtype), self.layer)
