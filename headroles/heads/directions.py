"""Directions of heads, from weights alone: what each reads from the residual stream and writes into the embedding.

A head with values W_V (D x k, the first LayerNorm's centring and gain folded in) and W_O C (k x d, the last LayerNorm's
and the projection folded in) moves what it attends to by M = W_V W_O C, of rank k at most (SITH, 2603.24653). Of its
singular value decomposition M = U S V', direction j reads U[:, j], writes V[:, j], and sigma_j says how strongly.

With W_V = Q R and W_O C = L P' (QR of both factors) it is that of the k x k matrix R L, whatever D and d are. As
z = x W_V, direction j has the coefficient x U[:, j] = z R^-1 U'[:, j], U' those of R L: so single directions can be
scaled where z flows, or in W_O, without touching what reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.threads import single_threads
from headroles.models.hooked_clip import Tower

_ROUNDING = 1e-12
"""Singular values that are this share of a head's largest, or of its layer's largest, are zero."""


@dataclass(frozen=True)
class Directions:
    """Directions of the heads of some layers of one tower, the strongest of each head first; float64."""

    layers: tuple[int, ...]
    """Layers of the rows."""
    sigma: Float[Tensor, "layer head direction"]
    """Singular values, falling; exactly 0 where a head writes nothing more."""
    reads: Float[Tensor, "layer head residual direction"]
    """Unit columns U: what is read from the centred residual stream, divided by the first LayerNorm's deviation."""
    writes: Float[Tensor, "layer head direction embed"]
    """Unit rows V: what is written into the embedding, before it is divided by the last LayerNorm's deviation. The
    largest entry of each is positive. Without meaning, and maybe of zeros, where sigma is 0."""
    from_z: Float[Tensor, "layer head width direction"]
    """R^-1 U': takes a head's z, less its constant part, to the coefficients of its directions."""
    to_z: Float[Tensor, "layer head direction width"]
    """U'^T R: takes coefficients of directions to z."""

    @classmethod
    @torch.no_grad()
    def of(cls, tower: Tower, layers: Sequence[int]) -> Directions:
        """Of `model.visual` or `model.text`. A layer more than it has, where it pools, is that of its pooling heads.

        Raises InputError for a layer that the tower has not.
        """
        end = tower.layers + tower.pooling
        wrong = [layer for layer in layers if not 0 <= layer < end]
        if wrong or not layers:
            raise InputError(f"layers: directions are of layers 0-{end - 1} of this tower, got {wrong or 'none'}")
        parts = []
        for layer in layers:
            reading, output = tower.circuit(layer)
            writing = output @ tower.written(layer)
            with single_threads():
                parts.append(_decompose(reading, writing))
        return cls(tuple(layers), *map(torch.stack, zip(*parts, strict=True)))

    def coefficients(self, z: Float[Tensor, "*image layer head width"]) -> Float[Tensor, "*image layer head direction"]:
        """How much of each direction there is in z: their part of the embedding is these times sigma times `writes`."""
        return (z[..., None, :] @ self.from_z.to(z))[..., 0, :]

    @typed
    def operators(self, factors: Float[Tensor, "layer head direction"]) -> Float[Tensor, "layer head width width"]:
        """E with which z E has every direction's coefficient times its factor, and all else as it was.

        So W_O -> E W_O scales directions in the weights. Exactly the identity where all factors of a head are 1, and
        the factor times the identity where they are equal.
        """
        if factors.shape != self.sigma.shape:
            raise InputError(f"factors must have shape {tuple(self.sigma.shape)}, got {tuple(factors.shape)}")
        factors = factors.to(self.sigma)
        equal = (factors == factors[..., :1]).all(-1, keepdim=True)
        rest = torch.where(equal, factors[..., :1], 1.0)
        square = torch.eye(self.to_z.shape[-1]).to(self.sigma)
        return rest[..., None] * square + (self.from_z * (factors - rest)[..., None, :]) @ self.to_z


def _decompose(
    reading: Float[Tensor, "head residual width"], writing: Float[Tensor, "head width embed"]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """sigma, reads, writes, from_z and to_z of the heads of one layer."""
    left, right = torch.linalg.qr(reading), torch.linalg.qr(writing.mT)
    inner, sigma, outer = torch.linalg.svd(left.R @ right.R.mT)
    count = inner.shape[-1]
    room = count - sigma.shape[-1]  # Heads wider than the embedding have directions that write nothing.
    sigma = torch.nn.functional.pad(sigma, (0, max(room, 0)))
    writes = torch.nn.functional.pad(outer[:, :count], (0, 0, 0, max(room, 0))) @ right.Q.mT
    peaks = writes.gather(-1, writes.abs().argmax(-1, keepdim=True))[..., 0]
    signs = torch.where(peaks < 0, -1.0, 1.0).to(sigma)
    inner, writes = inner * signs[:, None], writes * signs[..., None]
    sigma = torch.where(sigma > _ROUNDING * sigma.max(), sigma, 0.0)
    return sigma, left.Q @ inner, writes, torch.linalg.pinv(left.R) @ inner, inner.mT @ left.R
