"""TextSpan on moments (2310.05916, algorithm 1): which texts span what a head writes, without stored activations.

The original centres a head's outputs A and repeats: take the text t whose projection A t varies most, then project t
off A and off all texts. Only the covariance of A enters, and it lives in the span of the head's basis B. With
B' = Q R that leaves Y = T Q (text, width) and Sigma = R cov(u) R' (width, width); and as every new direction q is
orthogonal to the earlier ones, the texts' variances can be updated in place:
var(y - (y q) q) = var(y) - 2 (y q) (y P Sigma q) + (y q)^2 (q' Sigma q), P being the projection off the earlier picks.

A head is spanned for many draws of its covariance at once (bootstrap resamples, rotations of the null model), heads in
turn: a head's texts stay in the processor's cache, and each of torch's threads takes a head of its own, so that none
waits for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.errors import InputError
from headroles.heads.threads import single_threads

SELECTIONS = ("std", "variance")
_EXHAUSTED = 1e-6
"""Share of a head's variance, or of a text's length, below which nothing but rounding is left."""
_AT_ONCE = 2_000_000
"""Numbers of a (draw, text) matrix held at once."""

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Picks:
    """The texts that span each head, best first."""

    index: Int[Tensor, "draw head pick"]
    """Row of the text in the bank; -1 once a head's variance is used up."""
    share: Float[Tensor, "draw head pick"]
    """Share of the head's variance along the text's new direction."""
    variance: Float[Tensor, "draw head"]
    """The head's whole variance: mean squared distance of its unit-embedding part from its mean."""

    def draws(self, chosen: slice) -> Picks:
        """Some of the draws."""
        return Picks(self.index[chosen], self.share[chosen], self.variance[chosen])

    def split(self, size: int) -> Iterator[Picks]:
        """The draws in runs of at most `size`."""
        yield from (self.draws(slice(start, start + size)) for start in range(0, len(self.index), size))

    @classmethod
    def join(cls, parts: Sequence[Picks], axis: int) -> Picks:
        """Picks of several draws (axis 0) or heads (axis 1) as one; where there are fewer, none are filled in."""
        steps = max(part.index.shape[-1] for part in parts)
        pad = torch.nn.functional.pad
        index, share = (
            [pad(getattr(part, name), (0, steps - part.index.shape[-1]), value=none) for part in parts]
            for name, none in (("index", -1), ("share", 0))
        )
        return cls(torch.cat(index, axis), torch.cat(share, axis), torch.cat([part.variance for part in parts], axis))


class Spread(Protocol):
    """How one head's outputs spread over the texts' coordinates, for each of several draws."""

    def split(self, size: int) -> Iterator[Spread]:
        """The draws in runs of at most `size`."""

    def total(self) -> Float[Tensor, "draw"]:
        """The whole variance."""

    def times(self, q: Float[Tensor, "draw width"]) -> Float[Tensor, "draw width"]:
        """Sigma q."""

    def variances(self, texts: Float[Tensor, "width text"]) -> Float[Tensor, "draw text"]:
        """t' Sigma t."""


@dataclass(frozen=True)
class Sigma:
    """A spread as a covariance."""

    matrix: Float[Tensor, "draw width width"]
    """Sigma."""
    known: Float[Tensor, "draw text"] | None = None
    """The texts' variances, where the caller has them cheaper."""

    def split(self, size: int) -> Iterator[Sigma]:
        """See `Spread`."""
        for start in range(0, len(self.matrix), size):
            rows = slice(start, start + size)
            yield Sigma(self.matrix[rows], None if self.known is None else self.known[rows])

    def total(self) -> Float[Tensor, "draw"]:
        """See `Spread`."""
        return self.matrix.diagonal(dim1=-2, dim2=-1).sum(-1)

    def times(self, q: Float[Tensor, "draw width"]) -> Float[Tensor, "draw width"]:
        """See `Spread`."""
        return torch.bmm(self.matrix, q[..., None])[..., 0]

    def variances(self, texts: Float[Tensor, "width text"]) -> Float[Tensor, "draw text"]:
        """See `Spread`; many draws share one product with the texts' squares."""
        if self.known is not None:
            return self.known.to(texts, copy=True)
        width, draws = len(texts), len(self.matrix)
        if draws < width:
            return torch.stack([((each @ texts) * texts).sum(0) for each in self.matrix])
        rows, columns = torch.triu_indices(width, width, device=texts.device)
        twice = torch.where(rows == columns, 1.0, 2.0).to(texts)
        return (self.matrix[:, rows, columns] * twice) @ (texts[rows] * texts[columns])


@dataclass(frozen=True)
class Root:
    """A spread of few directions in a wide span, as a matrix whose square is the covariance."""

    matrix: Float[Tensor, "draw width rank"]
    """L with Sigma = L L'."""

    def split(self, size: int) -> Iterator[Root]:
        """See `Spread`."""
        yield from map(Root, self.matrix.split(size))

    def total(self) -> Float[Tensor, "draw"]:
        """See `Spread`."""
        return (self.matrix**2).sum((1, 2))

    def times(self, q: Float[Tensor, "draw width"]) -> Float[Tensor, "draw width"]:
        """See `Spread`."""
        return torch.bmm(self.matrix, torch.bmm(self.matrix.transpose(1, 2), q[..., None]))[..., 0]

    def variances(self, texts: Float[Tensor, "width text"]) -> Float[Tensor, "draw text"]:
        """See `Spread`."""
        return torch.stack([((each.T @ texts) ** 2).sum(0) for each in self.matrix])


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
    factor: Float[Tensor, "head width width"],
    covariance: Float[Tensor, "draw head width width"],
    picks: int,
    selection: str = "std",
) -> Picks:
    """Pick texts for every head and every draw of its covariance, given Y and R of `project_texts`.

    `selection="std"` takes the text with the largest variance, as the original does, which favours long projections;
    `"variance"` the one whose direction explains most. At most `width` texts are picked: then nothing is left.
    """
    sigma = factor @ covariance.to(factor) @ factor.transpose(-1, -2)

    def span(head: int) -> Picks:
        return span_head(projected[head], Sigma(sigma[:, head].to(projected)), picks, selection)

    return Picks.join(share_out(span, range(len(projected))), 1)


def share_out(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """`work` of every item, each of torch's threads at an item of its own.

    Products this small gain little from several threads, and lose much where one of them waits for the others.
    """
    workers = min(torch.get_num_threads(), len(items))
    if workers < 2:
        return [work(item) for item in items]
    inference = torch.is_inference_mode_enabled()

    def alone(item: Item) -> Found:
        with torch.inference_mode(inference):
            return work(item)

    with single_threads(), ThreadPoolExecutor(workers) as pool:
        return list(pool.map(alone, items))


def span_head(projected: Float[Tensor, "text width"], spread: Spread, picks: int, selection: str) -> Picks:
    """`text_span` of one head: index, share and variance (draw, 1, pick)."""
    if selection not in SELECTIONS:
        raise InputError(f"selection must be one of {', '.join(SELECTIONS)}, got {selection!r}")
    texts = projected.T.contiguous()
    parts = [_span(texts, part, picks, selection) for part in spread.split(max(1, _AT_ONCE // texts.shape[1]))]
    return Picks.join(parts, 0)


def _span(texts: Float[Tensor, "width text"], spread: Spread, picks: int, selection: str) -> Picks:
    total, left = spread.total(), spread.variances(texts)
    width, draws = len(texts), len(total)
    length = (texts**2).sum(0).expand(draws, -1).clone()
    shortest = _EXHAUSTED * length.amax(-1, keepdim=True)
    steps = min(picks, width)
    index = torch.full((draws, steps), -1, device=texts.device)
    shares = total.new_zeros(draws, steps)
    directions = total.new_zeros(draws, steps, width)
    for step in range(steps):
        score = left if selection == "std" else left / length.clamp_min(1e-30)
        most, best = torch.where(length > shortest, score, -torch.inf).max(-1)
        q = _off(_off(texts[:, best].T, directions), directions)
        q = q / q.norm(dim=-1, keepdim=True).clamp_min(1e-30)
        sigma_q = spread.times(q)
        explained = (sigma_q * q).sum(-1)
        alive = (explained > _EXHAUSTED * total) & (most > -torch.inf)
        index[:, step] = torch.where(alive, best, -1)
        shares[:, step] = torch.where(alive, explained / total, 0)
        along, across = q @ texts, _off(sigma_q, directions) @ texts
        left += along * (along * explained[:, None]).sub_(across, alpha=2)
        length -= along**2
        directions[:, step] = q
    return Picks(index[:, None], shares[:, None], total[:, None])


def _off(
    rows: Float[Tensor, "draw width"], directions: Float[Tensor, "draw pick width"]
) -> Float[Tensor, "draw width"]:
    """Rows projected off orthonormal directions (all-zero directions do nothing)."""
    along = torch.bmm(directions, rows[..., None])
    return rows - torch.bmm(directions.transpose(1, 2), along)[..., 0]
