"""How many images count as one: neighbours may be alike, and then means over images err more than their number says."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.heads.value_moments import ValueMoments

CHANCE = 1.5
"""Below this, images count as independent: so much comes about by chance."""
_FLAT = 1e-12
"""Share of the squared length below which nothing but rounding is left."""


def likeness(moments: ValueMoments) -> float:
    """Variance of the values' means, as it shows between blocks, over that of as many independent images; from 1 on.

    Each image 32 times in a row gives 32: Kish's design effect (1965), of all heads, concepts and values together. With
    the blocks' sums S_bv over n_bv images of value v, mean m_v and residual scatter rest, of one concept

        Q = sum_v sum_b |S_bv - n_bv m_v|^2 / n_v,    A = sum_v (1 - sum_b n_bv^2 / n_v^2),

    images that count as one by `deff` give on average Q = deff A s^2 and rest = s^2 (N - V deff), with V values in N
    images of variance s^2: so deff = Q N / (rest A + Q V).
    """
    count = np.einsum("bvv->bv", moments.pairs.cpu().numpy())
    between = _between(moments, count)
    length = (moments.value_first.sum(0) ** 2).flatten(1).sum(1).cpu().numpy() / np.maximum(count.sum(0), 1)
    square = moments.square.sum(0).flatten(1).sum(1).cpu().numpy()
    rests = (max(0.0, square[concept] - length[place].sum()) for concept, place in enumerate(moments.slices))
    return design_effect(
        (count[:, place], between[place], rest if rest > _FLAT * square[concept] else 0.0)
        for concept, (place, rest) in enumerate(zip(moments.slices, rests, strict=True))
    )


def design_effect(
    parts: Iterable[tuple[Float[ndarray, "block value"], Float[ndarray, "value"], float]],
) -> float:
    """`deff` of `likeness`, over parts of n_bv, sum_b |S_bv - n_bv m_v|^2 / n_v and rest; without rest: left out."""
    above = below = 0.0
    for count, between, rest in parts:
        images, q = count.sum(0), between.sum()
        free = np.where(images > 0, 1 - (count**2).sum(0) / np.maximum(images, 1) ** 2, 0)
        if rest > 0:
            above += q * images.sum()
            below += rest * free.sum() + q * (images > 0).sum()
    found = above / below if below > 0 else 1.0
    return float(found) if found >= CHANCE else 1.0


def _between(moments: ValueMoments, count: Float[ndarray, "block value"]) -> Float[ndarray, "value"]:
    """sum_b |S_bv - n_bv m_v|^2 / n_v over all heads."""
    images = moments.value_first.new_tensor(np.maximum(count.sum(0), 1))
    total = moments.value_first.sum(0).flatten(1)
    found = total.new_zeros(len(total))
    for own, first in zip(moments.value_first.new_tensor(count), moments.value_first.flatten(2), strict=True):
        found += ((first - (own / images)[:, None] * total) ** 2).sum(1)
    return (found / images).cpu().numpy()
