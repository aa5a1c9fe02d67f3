"""Is a head blind to a concept? How often chance alone lets the concept explain as much of the head's outputs.

The classic test is an F-test of traces, and takes outputs for normal, which heads' outputs need not be. So normality is
made, not hoped for: along every principal direction of a head the outputs are replaced by normal scores of their ranks
(van der Waerden 1952), times the direction's deviation, and the test of traces (`trace_tail`) is taken of these. A head
that is blind to the concept keeps its level then for skewed and heavy-tailed outputs (`benchmarks/levels.py`; the worst
that was found is .075, of a mixture of scales and values of very unequal size).

Ranks need outputs, image by image: those of the sample that value moments keep. Frames of one film are fewer images
than they seem: how many count as one is known from blocks of images (`headroles.roles.likeness`).
"""

from __future__ import annotations

from math import lgamma

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import norm, rankdata

from headroles.heads.value_moments import ValueMoments
from headroles.roles.chance import LEAST_P
from headroles.roles.trace_tail import trace_tail

_DIRECTIONS = 64
"""Principal directions of a head that are looked at, at most."""
_FLAT = 1e-9
"""Share of the whole scatter below which nothing but rounding is left."""


def p_values(moments: ValueMoments, shares: str = "marginal", alike: float = 1.0) -> Float[ndarray, "head concept"]:
    """Pr[a concept that means nothing to the head explains as much], for every head and concept, over the sample.

    `shares`: explained at all ("marginal"), or beyond what all other concepts explain ("unique"). Never below
    `LEAST_P`, nor below 1 over the number of ways in which the labels can be dealt to the images. `alike`: so many of
    all images count as one (`headroles.roles.likeness`); of a sample of them fewer do.
    """
    filled = moments.sample_codes[:, 0] > 0
    outputs = moments.sample[filled].flatten(1, 2).double().cpu().numpy()
    codes = moments.sample_codes[filled].cpu().numpy() - 2
    if alike > 1:
        alike = 1 + (alike - 1) * len(outputs) / moments.images
    turned = _principal(outputs)
    cached: dict[bytes, Float[ndarray, "image head direction"]] = {}
    found = np.ones((outputs.shape[1], codes.shape[1]))
    for concept in range(codes.shape[1]):
        rows = codes[:, concept] >= 0 if shares == "marginal" else np.ones(len(codes), bool)
        if rows.sum() > 2:
            key = rows.tobytes()
            scores = cached[key] if key in cached else cached.setdefault(key, _normal_scores(turned[rows]))
            others = [] if shares == "marginal" else [each for each in range(codes.shape[1]) if each != concept]
            found[:, concept] = _explained_by_chance(scores, codes[rows, concept], codes[rows][:, others], alike)
    return found


def _principal(outputs: Float[ndarray, "image head width"]) -> Float[ndarray, "image head direction"]:
    """Outputs in each head's principal directions, around the mean; labels have no say in these."""
    centred = outputs - outputs.mean(0)
    directions = np.linalg.eigh(np.einsum("ihk,ihm->hkm", centred, centred, optimize=True))[1]
    return np.einsum("ihk,hkm->ihm", centred, directions[..., -_DIRECTIONS:], optimize=True)


def _normal_scores(outputs: Float[ndarray, "image head direction"]) -> Float[ndarray, "image head direction"]:
    """Normal quantiles of the ranks, with the deviation of the outputs; a direction without one gives zeros."""
    deviation = outputs.std(0)
    scale = np.where(deviation > 1e-12 * deviation.max(initial=0), deviation, 0)
    scores = norm.ppf((rankdata(outputs, axis=0) - 0.5) / len(outputs)) * scale
    return scores - scores.mean(0)


def _explained_by_chance(
    scores: Float[ndarray, "image head direction"],
    codes: Int[ndarray, "image"],
    others: Int[ndarray, "image other"],
    alike: float,
) -> Float[ndarray, "head"]:
    base = _basis(np.concatenate([np.ones((len(codes), 1)), *map(_indicators, others.T)], 1))
    own = _basis(_indicators(codes), base)
    free, left = own.shape[1], len(codes) / alike - base.shape[1] - own.shape[1]
    explained, known = (_squares(basis, scores) for basis in (own, base))
    rest = np.maximum(0, (scores**2).sum(0) - known - explained)
    whole = (explained + rest).sum(-1)
    p = np.ones(len(whole))
    if free > 0 and left > 0:
        flat = rest.sum(-1) <= _FLAT * whole
        usable = ~flat & (explained.sum(-1) > 0)
        p[flat & (whole > 0)] = 0
        ratio = explained[usable].sum(-1) / rest[usable].sum(-1)
        p[usable] = trace_tail(ratio, rest[usable], free, left)
        p = np.maximum(p, max(LEAST_P, _one_deal(codes)))
    return p


def _indicators(codes: Int[ndarray, "image"]) -> Float[ndarray, "image value"]:
    """One column a value that is there; images without one have zeros."""
    return (codes[:, None] == np.unique(codes[codes >= 0])).astype(float)


def _basis(
    columns: Float[ndarray, "image column"], beside: Float[ndarray, "image column"] | None = None
) -> Float[ndarray, "image direction"]:
    """Orthonormal basis of the columns' span, of what is not in the span of `beside`."""
    rest = columns if beside is None else columns - beside @ (beside.T @ columns)
    left, size, _ = np.linalg.svd(rest, full_matrices=False)
    alive: Bool[ndarray, "column"] = size > 1e-8 * np.sqrt(len(columns))
    return left[:, alive]


def _squares(
    basis: Float[ndarray, "image direction"], scores: Float[ndarray, "image head direction"]
) -> Float[ndarray, "head direction"]:
    """Squared length of the scores in the basis."""
    return (np.tensordot(basis.T, scores, 1) ** 2).sum(0)


def _one_deal(codes: Int[ndarray, "image"]) -> float:
    """1 over the number of different ways to deal these labels to these images."""
    count = np.unique(codes[codes >= 0], return_counts=True)[1]
    return float(np.exp(sum(lgamma(each + 1) for each in count) - lgamma(count.sum() + 1)))
