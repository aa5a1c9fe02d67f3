"""The null model: a head that writes as much, along as many directions, but along directions that mean nothing.

A head's eigenvalues stay as they are, and its directions are turned at random (Haar) within its span; TextSpan then
picks anew. What is left is all that a head reaches without saying anything: few strong directions already make few
texts count, texts of one concept lie close together, and a pick repels its neighbours. Shuffling the labels of picks
that are kept ignores all three: random heads stand out from such shuffles in up to 82% of the cases, see
benchmarks/shuffled.py.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.roles.textspan import Picks, Root, Sigma, Spread, span_head

_WIDE = 256
"""Heads of towers that pool write into the whole embedding, and draws cost as much as they have directions."""
_LEFT_OUT = (1e-6, 1e-3)
"""Share of a head's variance that is left out, in its weakest directions; the second for wide heads."""
_AT_ONCE = 64
"""Draws turned at once. Each run of them has a seed of its own, so that its size changes no draw."""


def null_picks(
    projected: Float[Tensor, "text width"],
    covariance: Float[Tensor, "width width"],
    draws: int,
    picks: int,
    selection: str,
    seed: int,
) -> Picks:
    """Picks (draw, 1, pick) of a head with this covariance, in the coordinates of `projected`, turned at random.

    All heads of a width are turned alike, so a head's draws do not depend on its place.
    """
    sizes = torch.linalg.eigvalsh(covariance.double()).flip(0).clamp_min(0)
    rest = sizes.sum() - sizes.cumsum(0) + sizes  # What is left before each direction.
    sizes = sizes[rest > _LEFT_OUT[len(sizes) > _WIDE] * sizes.sum()].to(projected)
    parts = []
    for start in range(0, draws, _AT_ONCE):
        frames = random_frames(_AT_ONCE, len(covariance), len(sizes), (seed, start)).to(projected)
        parts.append(span_head(projected, _turned(frames[: draws - start], sizes), picks, selection))
    return Picks.join(parts, 0)


def random_frames(draws: int, width: int, rank: int, seed: tuple[int, int]) -> Float[Tensor, "draw width rank"]:
    """Orthonormal directions, uniform over all such frames (Haar; Mezzadri, math-ph/0609050)."""
    generator = torch.Generator().manual_seed(seed[0] * 1_000_003 + seed[1])
    q, r = torch.linalg.qr(torch.randn(draws, width, width, generator=generator)[..., :rank])
    return q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]


def _turned(frames: Float[Tensor, "draw width rank"], sizes: Float[Tensor, "rank"]) -> Spread:
    """As a root where the span is much wider than what a head uses of it (towers that pool)."""
    root = frames * sizes.sqrt()
    return Root(root) if 4 * len(sizes) < frames.shape[1] else Sigma(root @ root.transpose(1, 2))
