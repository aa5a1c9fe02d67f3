"""How many directions a head writes along, and whether it writes anything: from mean and covariance of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from headroles.heads.ablation import cut_heads
from headroles.heads.moments import HeadMoments
from headroles.heads.names import Head
from headroles.heads.value_moments import ValueMoments
from headroles.models.hooked_clip import HookedCLIP

FEW_IMAGES = 50
"""Below so many images roles are rough: on the bundled model 82% of the heads had at 5 scenes the role that they have
at 2,000, 88% at 20, 94% at 50, 97% at 100 (benchmarks/few_images.py)."""
_ROUNDING = 16
"""Outputs that differ by this many units of rounding are equal: products of other batch sizes round otherwise."""
_FAINT = 1e-6
"""Share of what the middle head says below which a head is silent beside the others."""
_UNITS = {"no": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}
"""Rounding of the forward's products, by precision."""


@dataclass(frozen=True)
class Outputs:
    """Mean and covariance of the scored heads' parts of the unit embedding, each in its own orthonormal coordinates."""

    mean: Float[Tensor, "head width"]
    """Of all images."""
    covariance: Float[Tensor, "head width width"]
    """The same."""

    @classmethod
    def of(cls, model: HookedCLIP, moments: HeadMoments) -> Outputs:
        """From moments of u, through each head's basis."""
        parts: list[Outputs] = []
        tower = moments.tower_of(model)
        for layers, bases in tower.spans(moments.layers):
            own = moments.select(layers, tower.moment_width if bases is None else bases.shape[-2])
            mean, covariance = own.mean().flatten(0, 1), own.covariance()[0].flatten(0, 1)
            if bases is not None:
                factor = torch.linalg.qr(bases.detach().double().flatten(0, 1).mT).R
                mean, covariance = (factor @ mean[..., None])[..., 0], factor @ covariance @ factor.mT
            parts.append(cls(mean, covariance))
        return cls._join(parts)

    @classmethod
    def of_values(cls, moments: ValueMoments) -> Outputs:
        """From moments of labelled images, which are in such coordinates."""
        mean = (moments.first.sum(0) / moments.images).flatten(0, 1)
        square = moments.second.flatten(0, 1) / moments.images
        return cls(mean, square - mean[:, :, None] * mean[:, None])

    def silent_or_cut(self, heads: Sequence[Head], tower: tuple[int, int], precision: str) -> Bool[ndarray, "head"]:
        """`silent`, or cut by an ablation that is open: what stands in for such a head is not its own.

        `heads` are these heads' places, `tower` the number of layers and of heads a layer of the whole tower.
        """
        cut = cut_heads(tower[0] + 1, tower[1])  # A tower that pools has one layer more.
        return self.silent(precision).cpu().numpy() | np.array([head in cut for head in heads])

    @classmethod
    def _join(cls, parts: list[Outputs]) -> Outputs:
        """Narrower heads get zeros: of a tower that pools, those of its pooling layer."""
        width = max(part.mean.shape[-1] for part in parts)
        room = [width - part.mean.shape[-1] for part in parts]
        pad = torch.nn.functional.pad
        mean = [pad(part.mean, (0, more)) for part, more in zip(parts, room, strict=True)]
        covariance = [pad(part.covariance, (0, more, 0, more)) for part, more in zip(parts, room, strict=True)]
        return cls(torch.cat(mean), torch.cat(covariance))

    def variance(self) -> Float[Tensor, "head"]:
        """Mean squared distance from the mean."""
        return self.covariance.diagonal(dim1=-2, dim2=-1).sum(-1)

    def effective_rank(self) -> Float[Tensor, "head"]:
        """Participation ratio of the eigenvalues, (sum l)^2 / sum l^2: 1 for one direction, `width` for equal ones.

        0 where nothing varies.
        """
        squares = (self.covariance**2).sum((-2, -1))
        return torch.where(squares > 0, self.variance() ** 2 / squares.clamp_min(1e-300), 0.0)

    def silent(self, precision: str = "no") -> Bool[Tensor, "head"]:
        """Heads that say nothing, whatever is in the image.

        What counts is the variance beside the direction of a head's own mean: a constant output still varies along it,
        by the scale 1 / (sigma |f|) of each image. A head is silent where that is rounding beside its mean square (of a
        forward of this `precision`), or less than a millionth of that of the middle one of these heads.
        """
        length = self.mean.norm(dim=-1, keepdim=True)
        own = torch.where(length > 0, self.mean / length.clamp_min(1e-300), 0.0)
        beside = self.variance() - torch.einsum("hk,hkm,hm->h", own, self.covariance, own)
        rounding = (_ROUNDING * _UNITS[precision]) ** 2 * (length[:, 0] ** 2 + self.variance())
        return (beside <= rounding) | (beside <= _FAINT * beside.median())
