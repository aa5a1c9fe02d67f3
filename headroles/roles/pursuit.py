"""Directions as sparse, non-negative combinations of texts: coherent orthogonal matching pursuit (SITH, 2603.24653).

For each unit target v: pick the text t that maximises <r, t> + coherence * mean over the picked texts of <t, t_i>, r
being what the picked ones leave of v; refit all picked texts by non-negative least squares; repeat. All targets go
together: no loop over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.threads import single_threads

_AT_ONCE = 8_000_000
"""Numbers of a (target, text) matrix held at once."""
_TOLERANCE = 1e-12
"""Share of a problem's scale below which a gradient or a weight is rounding."""


@dataclass(frozen=True)
class Combinations:
    """Texts that make up each target, in the order in which they were picked."""

    index: Int[Tensor, "target pick"]
    """Row of the text."""
    weight: Float[Tensor, "target pick"]
    """Its factor, at least 0."""
    part: Float[Tensor, "target pick"]
    """Share of the target's squared length that it explains; they sum to the fidelity."""

    @property
    def fidelity(self) -> Float[Tensor, "target"]:
        """Share of the target's squared length that all its texts explain."""
        return self.part.sum(-1)


@torch.inference_mode()
def pursue(
    targets: Float[Tensor, "target embed"], texts: Float[Tensor, "text embed"], picks: int, coherence: float
) -> Combinations:
    """At most `picks` texts for each target. Both are unit rows; rows of zeros are explained by nothing."""
    runs = targets.split(max(1, _AT_ONCE // len(texts)))
    parts = [_pursue(run, texts, min(picks, len(texts)), coherence) for run in runs]
    return Combinations(*(torch.cat([getattr(part, name) for part in parts]) for name in ("index", "weight", "part")))


def _pursue(
    targets: Float[Tensor, "target embed"], texts: Float[Tensor, "text embed"], picks: int, coherence: float
) -> Combinations:
    index = torch.zeros(len(targets), 0, dtype=torch.long, device=targets.device)
    weight = along = targets.new_zeros(len(targets), 0)
    left, near = targets, torch.zeros_like(targets)
    for _ in range(picks):
        score = (left + coherence * near) @ texts.T
        best = score.scatter_(1, index, -torch.inf).argmax(1, keepdim=True)
        index = torch.cat([index, best], 1)
        picked = texts[index]
        along = (picked @ targets[..., None])[..., 0]
        with single_threads():
            weight = nnls(picked @ picked.mT, along)
        left, near = targets - (weight[:, None] @ picked)[:, 0], picked.mean(1)
    return Combinations(index, weight, _parts(weight * along))


def _parts(products: Float[Tensor, "target pick"]) -> Float[Tensor, "target pick"]:
    """Weight times projection sums to the squared length that is explained; the few below 0 are shared out."""
    parts = products.clamp_min(0)
    return parts * (products.sum(-1, keepdim=True) / parts.sum(-1, keepdim=True).clamp_min(1e-300))


def nnls(gram: Float[Tensor, "problem row row"], along: Float[Tensor, "problem row"]) -> Float[Tensor, "problem row"]:
    """Non-negative least squares of many small problems at once, by active sets (Lawson and Hanson 1974).

    Minimises |A x - b| over x >= 0, given A'A and A'b. Columns that depend on chosen ones are not chosen.
    """
    found, chosen = torch.zeros_like(along), torch.zeros_like(along, dtype=torch.bool)
    scale = along.abs().amax(-1, keepdim=True)
    for _ in range(3 * along.shape[-1]):
        slope = torch.where(chosen, -torch.inf, along - (gram @ found[..., None])[..., 0])
        most, best = slope.max(-1, keepdim=True)
        grows = most > _TOLERANCE * scale
        if not grows.any():
            break
        chosen = chosen.scatter(-1, best, grows | chosen.gather(-1, best))
        found, chosen = _solve_chosen(gram, along, found, chosen)
    return found


def _solve_chosen(
    gram: Tensor, along: Tensor, found: Float[Tensor, "problem row"], chosen: Tensor
) -> tuple[Float[Tensor, "problem row"], Tensor]:
    """The least squares of the chosen rows, on the way to which rows that would turn negative are dropped."""
    while True:
        solved = _least_squares(gram, along, chosen)
        wrong = chosen & (solved <= 0)
        if not wrong.any():
            return solved, chosen
        step = torch.where(wrong, found / (found - solved).clamp_min(1e-300), torch.inf).amin(-1, keepdim=True)
        found = found + step.clamp(max=1) * (solved - found)
        chosen = chosen & ~(wrong & (found <= _TOLERANCE * solved.abs().amax(-1, keepdim=True)))
        found = torch.where(chosen, found, 0)


def _least_squares(gram: Tensor, along: Tensor, chosen: Tensor) -> Float[Tensor, "problem row"]:
    mask = chosen.to(gram)
    square = gram * mask[..., None] * mask[..., None, :] + torch.diag_embed(1 - mask)
    return torch.linalg.solve(square, along * mask)
