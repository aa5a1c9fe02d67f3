"""TextSpan on moments (2310.05916, algorithm 1): which texts span what a head writes, without stored activations.

The original centres a head's outputs A and repeats: take the text t whose projection A t varies most, then project t
off A and off all texts. Only the covariance of A enters, and it lives in the span of the head's basis B. With
B' = Q R that leaves Y = T Q (text, width) and Sigma = R cov(u) R' (width, width); and as every new direction q is
orthogonal to the earlier ones, the texts' variances can be updated in place:
var(y - (y q) q) = var(y) - 2 (y q) (y P Sigma q) + (y q)^2 (q' Sigma q), P being the projection off the earlier picks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.errors import InputError

SELECTIONS = ("std", "variance")
_EXHAUSTED = 1e-6
"""Share of a head's variance, or of a text's length, below which nothing but rounding is left."""


@dataclass(frozen=True)
class Picks:
    """The texts that span each head, best first."""

    index: Int[Tensor, "draw head pick"]
    """Row of the text in the bank; -1 once a head's variance is used up."""
    share: Float[Tensor, "draw head pick"]
    """Share of the head's variance along the text's new direction."""
    variance: Float[Tensor, "draw head"]
    """The head's whole variance: mean squared distance of its unit-embedding part from its mean."""


def project_texts(
    texts: Float[Tensor, "text embed"], bases: Float[Tensor, "head width embed"], center: bool = False
) -> tuple[Float[Tensor, "head text width"], Float[Tensor, "head width width"]]:
    """Y = T Q and R for every head, with B' = Q R; `center` takes the texts' mean off first."""
    if center:
        texts = texts - texts.mean(0)
    q, r = torch.linalg.qr(bases.transpose(-1, -2))
    return texts @ q, r


def text_span(
    projected: Float[Tensor, "head text width"],
    factor: Float[Tensor, "head width width"] | None,
    covariance: Float[Tensor, "draw head width width"],
    picks: int,
    selection: str = "std",
    variance: Float[Tensor, "draw head text"] | None = None,
) -> Picks:
    """Pick texts for every head and every draw of the covariance.

    `factor` None: the covariance is in the coordinates of `projected` already. `variance`: the texts' variances,
    where the caller has them cheaper.

    `selection="std"` takes the text with the largest variance, as the original does, which favours long projections;
    `"variance"` the one whose direction explains most. At most `width` texts are picked: then nothing is left.
    """
    if selection not in SELECTIONS:
        raise InputError(f"selection must be one of {', '.join(SELECTIONS)}, got {selection!r}")
    if factor is not None:
        covariance = factor @ covariance.to(factor) @ factor.transpose(-1, -2)
    sigma = covariance.to(projected)
    total = sigma.diagonal(dim1=-2, dim2=-1).sum(-1)
    if variance is None:
        variance = torch.stack([((projected @ each) * projected).sum(-1) for each in sigma])
    heads = torch.arange(len(projected), device=projected.device)[:, None]

    def along(rows: Float[Tensor, "draw head 1 width"]) -> Float[Tensor, "draw head text"]:
        """y q for all draws in one product per head: Y is never copied for a draw."""
        return (projected @ rows[..., 0, :].permute(1, 2, 0)).permute(2, 0, 1)

    length = (projected**2).sum(-1).expand_as(variance).clone()
    shortest = _EXHAUSTED * length.amax(-1, keepdim=True)
    steps = min(picks, projected.shape[-1])
    chosen = torch.full((*total.shape, steps), -1, device=total.device)
    shares = total.new_zeros(*total.shape, steps)
    directions = total.new_zeros(*total.shape, steps, projected.shape[-1])
    for step in range(steps):
        usable = length > shortest
        score = variance if selection == "std" else variance / length.clamp_min(1e-30)
        best = score.masked_fill(~usable, -torch.inf).argmax(-1, keepdim=True)
        q = _off(projected[heads, best], directions)
        q = _off(q, directions)
        q = q / q.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        sigma_q = q @ sigma
        explained = (sigma_q * q).sum(-1)
        alive = (explained > _EXHAUSTED * total[..., None]) & usable.gather(-1, best)
        chosen[..., step] = torch.where(alive, best, -1)[..., 0]
        shares[..., step] = torch.where(alive, explained / total[..., None], 0)[..., 0]
        a, b = along(q), along(_off(sigma_q, directions))
        variance = variance - 2 * a * b + a**2 * explained
        length = length - a**2
        directions[..., step, :] = q[..., 0, :]
    return Picks(chosen, shares, total)


def _off(rows: Tensor, directions: Tensor) -> Tensor:
    """Rows projected off orthonormal directions (all-zero directions do nothing)."""
    return rows - (rows @ directions.transpose(-1, -2)) @ directions
