"""How much of a head's variance a concept's value explains: eta squared, from sums alone.

Two ways are offered. `marginal` is the classic eta squared, between-value over whole scatter (trace in the embedding),
over the images that are labelled with the concept. Where labels depend on each other (all red things are round), it
credits a color head with shape too. `unique` is what no other concept explains: how much the fit of all concepts
together (additive, least squares) loses without this one, over all images. It needs only how often two values meet,
beside the sums of the marginal one. Absence counts as one more value there, so presence that follows from another
concept (a position only where the count is one) is credited to neither. Labels that are independent and never absent
give the same by both; concepts that determine each other get nothing by `unique`. Where every image has a label of one
concept only (a folder CONCEPT/VALUE/), there is nothing to tell apart: take `marginal`.

Both are bias-corrected: what as many random groups would explain is taken off (epsilon squared, Kelley 1935). Where
neighbours are alike, images are fewer than they seem (`headroles.roles.likeness`), and more is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.heads.value_moments import ValueMoments

SHARES = ("marginal", "unique")
_FLAT = 1e-12
"""Share of the squared length, or of an eigenvalue, below which nothing but rounding is left."""


@dataclass(frozen=True)
class Sums:
    """The moments of some images, blocks summed up, heads of all layers in one axis."""

    images: float
    first: Float[ndarray, "head width"]
    pairs: Float[ndarray, "value value"]
    value_first: Float[ndarray, "value head width"]
    square: Float[ndarray, "concept head"]
    slices: tuple[slice, ...]

    @classmethod
    def of(cls, moments: ValueMoments, draw: Float[ndarray, "block"] | None = None) -> Sums:
        """All images, or every block as often as `draw` says."""
        draw = np.ones(len(moments.count)) if draw is None else draw

        def total(name: str) -> ndarray:
            return np.tensordot(draw, getattr(moments, name).cpu().numpy(), 1)

        width = moments.first.shape[-1]
        return cls(
            float(total("count")),
            total("first").reshape(-1, width),
            total("pairs"),
            total("value_first").reshape(moments.value_first.shape[1], -1, width),
            total("square").reshape(moments.square.shape[1], -1),
            moments.slices,
        )


@dataclass(frozen=True)
class Effects:
    """What each concept explains of each head, as scatter (trace, in the embedding) and degrees of freedom."""

    explained: Float[ndarray, "head concept"]
    """Scatter that the concept explains."""
    rest: Float[ndarray, "head concept"]
    """Scatter that is left, which the explained one is held against."""
    whole: Float[ndarray, "head concept"]
    """All scatter; 0 where a head never changes."""
    free: Float[ndarray, "concept"]
    """Degrees of freedom of the concept."""
    left: Float[ndarray, "concept"]
    """Degrees of freedom of the rest."""
    labelled: Float[ndarray, "concept"]
    """Images with a label of the concept."""

    def shares(self) -> Float[ndarray, "head concept"]:
        """Bias-corrected share of `whole`, in [0, 1]; 0 where there is nothing to compare."""
        return np.clip(_divide(self._corrected(), self.whole), 0, 1)

    def variances(self, resampled: bool = False) -> Float[ndarray, "head concept"]:
        """Bias-corrected explained scatter per labelled image: what a value of the concept moves the head by.

        The shares of two concepts that different images are labelled with have different wholes; these can be compared.
        The means of a bootstrap resample err twice, as those of the sample do and by the draw, so from `resampled` ones
        twice the noise is taken off.
        """
        return _divide(self._corrected(2.0 if resampled else 1.0), self.labelled)

    def _corrected(self, times: float = 1.0) -> Float[ndarray, "head concept"]:
        noise = times * _divide(self.rest * self.free, self.left)
        return np.maximum(0, self.explained - noise) * (self.free > 0)


def effects(sums: Sums, shares: str = "marginal", alike: float = 1.0) -> Effects:
    """The effects of all concepts, by either of `SHARES`; `alike`: so many images count as one."""
    if shares not in SHARES:
        raise InputError(f"shares must be one of {', '.join(SHARES)}, got {shares!r}")
    return _marginal(sums, alike) if shares == "marginal" else _unique(sums, alike)


def _marginal(sums: Sums, alike: float) -> Effects:
    count = sums.pairs.diagonal()
    explained, whole, free, images = [], [], [], []
    for concept, place in enumerate(sums.slices):
        seen = np.flatnonzero(count[place]) + place.start
        labelled = count[seen].sum()
        groups = sums.value_first[seen]
        mean = _divide((groups.sum(0) ** 2).sum(-1), labelled)
        explained.append(((groups**2).sum(-1) / count[seen, None]).sum(0) - mean)
        whole.append(_scatter(sums.square[concept], mean))
        free.append(max(0, len(seen) - 1))
        images.append(labelled)
    most, degrees, labelled_images = np.array(whole).T, np.array(free), np.array(images)
    found = np.minimum(np.array(explained).T, most).clip(0)
    return Effects(found, most - found, most, degrees, labelled_images / alike - degrees - 1, labelled_images)


def _unique(sums: Sums, alike: float) -> Effects:
    fit, rank = _fit(sums, None)
    lost = [_fit(sums, place) for place in sums.slices]
    mean = (sums.first**2).sum(-1) / sums.images
    whole = _scatter(sums.square[-1], mean)
    rest = np.maximum(0, whole - (fit - mean))
    explained = np.stack([np.maximum(0, fit - other) for other, _ in lost], -1)
    free = np.array([rank - other for _, other in lost])
    shape = explained.shape
    return Effects(
        np.minimum(explained, whole[:, None]),
        np.broadcast_to(rest[:, None], shape),
        np.broadcast_to(whole[:, None], shape),
        free,
        np.full(len(free), sums.images / alike - rank),
        np.array([sums.pairs.diagonal()[place].sum() for place in sums.slices]),
    )


def _fit(sums: Sums, without: slice | None) -> tuple[Float[ndarray, "head"], int]:
    """Sum of squares that mean and values explain together (those of one concept left out), and their rank."""
    target, inverse, rank = _regression(sums, without)
    return np.einsum("vhk,vw,whk->h", target, inverse, target, optimize=True), rank


def _regression(sums: Sums, without: slice | None = None) -> tuple[ndarray, Float[ndarray, "value value"], int]:
    """Sums of v, pseudo-inverse of the normal equations, and rank, of a mean and one indicator a value.

    An indicator of absence is the mean less the concept's values, so it is in their span already.
    """
    kept = sums.pairs.diagonal() > 0
    if without is not None:
        kept[without] = False
    count = sums.pairs.diagonal()[kept]
    normal = np.block([[np.array([[sums.images]]), count[None]], [count[:, None], sums.pairs[np.ix_(kept, kept)]]])
    scale = 1 / np.sqrt(normal.diagonal())
    size, vectors = np.linalg.eigh(normal * scale[:, None] * scale)
    alive = size > 1e3 * _FLAT * size.max()
    vectors = vectors[:, alive] * scale[:, None]
    target = np.concatenate([sums.first[None], sums.value_first[kept]])
    return target, (vectors / size[alive]) @ vectors.T, int(alive.sum())


def value_parts(moments: ValueMoments) -> Float[ndarray, "head value"]:
    """Each value's part of the scatter between its concept's values: images times squared distance from the mean."""
    sums = Sums.of(moments)
    count = sums.pairs.diagonal()
    parts = np.zeros((sums.first.shape[0], len(count)))
    for place in sums.slices:
        own, groups = count[place, None], sums.value_first[place]
        mean = _divide(groups.sum(0), own.sum())
        part = own * ((_divide(groups, own[..., None]) - mean) ** 2).sum(-1)
        parts[:, place] = _divide(part, part.sum(0)).T
    return parts


def dependence(moments: ValueMoments) -> Float[ndarray, "concept concept"]:
    """Cramer's V of every two concepts over the images with both, bias-corrected (Bergsma 2013): 0 free, 1 bound.

    That one label is absent where another has a certain value does not count: there is nothing to compare.
    """
    sums = Sums.of(moments)
    found = np.eye(len(sums.slices))
    for one, rows in enumerate(sums.slices):
        for other, columns in enumerate(sums.slices):
            if one != other:
                found[one, other] = _cramer(sums.pairs[rows, columns])
    return found


def _cramer(table: Float[ndarray, "value value"]) -> float:
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    images = table.sum()
    if min(table.shape, default=0) < 2 or images < 2:
        return 0.0
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / images
    free = (np.array(table.shape) - 1).astype(float)
    chance = free.prod() / (images - 1)
    most = (free - free**2 / (images - 1)).min()
    excess = max(0.0, float(((table - expected) ** 2 / expected).sum()) / images - chance)
    return float(min(1.0, np.sqrt(excess / most))) if most > 0 else 0.0


def _scatter(square: Float[ndarray, "head"], mean: Float[ndarray, "head"]) -> Float[ndarray, "head"]:
    """Squares less those of the mean; 0 where only rounding is left."""
    return np.where(square - mean > _FLAT * square, square - mean, 0.0)


def _divide(a: ndarray | float, b: ndarray | float) -> ndarray:
    """a / b, 0 where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)
