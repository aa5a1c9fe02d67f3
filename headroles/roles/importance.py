"""How much each head counts for each concept: a group lasso over heads that reads the concept's values off them.

For one concept, every head's part of the embedding is taken along the directions in which its means over the concept's
values differ (at most `_DIRECTIONS`, fewer where heads are many), and the values are fitted, one hot, by least squares
over all heads' parts with one penalty a head: heads that others make up for get no weight (the sparse read-out of
Fumero et al. 2023, arXiv 2304.07939). A head's importance is the covariance of its part of the fit with the values:
what the fit explains is the sum of these over the heads (Pratt 1987). A part against the values counts as none.

No image is judged by what it helped to choose: of the sample's images, a third each gives the directions, the fit, and
the error that picks the penalty (the largest within one standard error of the best), the importance and the share of
values told right; the thirds take turns.

Heads that many concepts use can be preferred, as Fumero et al. prefer shared features: with p_h a head's part of all
concepts' importances, the entropy H of p is penalised beside the weights. It is concave, so it is taken along its slope
again and again: the penalty of a head becomes 1 + sharing (-log p_h - H) times that of the plain group lasso.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from headroles.heads.value_moments import ValueMoments
from headroles.roles.group_lasso import group_lasso

_THIRDS, _LEAST = 3, 10
"""Parts of the sample, and images of a value that each needs at least."""
_DIRECTIONS, _FEATURES = 8, 600
"""Directions of a head, at most (concepts of many values would have one a value), and of all heads together."""
_PENALTIES = np.geomspace(0.3, 3e-3, 6)
"""Shares of the least penalty that leaves no head a weight, the sparsest first."""
_NEAR = 1e-4
"""How near to the optimum the fits come."""
_ROUNDS, _FAINT, _CHEAPEST = 3, 1e-3, 0.1
"""Fits that follow the first where heads are to be shared, least part of a head in them, least factor on a penalty."""


@dataclass(frozen=True)
class ReadOut:
    """What the heads together tell of every concept."""

    importance: Float[ndarray, "head concept"]
    """Each head's part; columns sum to 1, or to 0 where nothing can be told."""
    told: Float[ndarray, "concept"]
    """Share of held-out images whose value is told right; nan where fewer than two values have enough images."""
    chance: Float[ndarray, "concept"]
    """Share that the most frequent value has."""

    @classmethod
    def of(cls, moments: ValueMoments, sharing: float = 0.0) -> ReadOut:
        """From the sample of images whose outputs were kept; `sharing`: how much shared heads are preferred."""
        sample = moments.sample.cpu().numpy()
        codes = moments.sample_codes.cpu().numpy().astype(int) - 2
        outputs = sample.reshape(len(sample), -1, sample.shape[-1])
        found = cls._fit(outputs, codes, np.ones(outputs.shape[1]))
        for _ in range(_ROUNDS if sharing else 0):
            found = cls._fit(outputs, codes, np.maximum(_CHEAPEST, 1 + sharing * rarity(found.importance)))
        return found

    @classmethod
    def _fit(
        cls,
        outputs: Float[ndarray, "row head width"],
        codes: Int[ndarray, "row concept"],
        costs: Float[ndarray, "head"],
    ) -> ReadOut:
        found = [_read(outputs, each, costs) for each in codes.T]
        importance, told, chance = zip(*found, strict=True)
        return cls(np.stack(importance, 1), np.array(told), np.array(chance))


def rarity(importance: Float[ndarray, "head concept"]) -> Float[ndarray, "head"]:
    """-log p - H of the heads' parts p of all importances: above 0 for heads that are used less than others."""
    used = importance.sum(1)
    part = np.maximum(used / max(used.sum(), 1e-300), _FAINT)
    part = part / part.sum()
    return -np.log(part) + (part * np.log(part)).sum()


def _read(
    outputs: Float[ndarray, "row head width"], codes: Int[ndarray, "row"], costs: Float[ndarray, "head"]
) -> tuple[Float[ndarray, "head"], float, float]:
    """Importance of the heads for one concept, share told right, and chance."""
    rows, labels, thirds = split_rows(codes)
    if not len(rows):
        return np.zeros(outputs.shape[1]), np.nan, np.nan
    values = outputs[rows].astype(float)
    found = [_turn(values, labels, [thirds == (turn + part) % _THIRDS for part in range(_THIRDS)], costs)
             for turn in range(_THIRDS)]  # fmt: skip
    importance = np.mean([part for part, _ in found], 0)
    whole = importance.sum()
    return importance / whole if whole > 0 else importance, *(
        float(np.mean(each)) for each in ([right for _, right in found], labels == np.bincount(labels).argmax())
    )


def split_rows(
    codes: Int[ndarray, "row"],
) -> tuple[Int[ndarray, "kept"], Int[ndarray, "kept"], Int[ndarray, "kept"]]:
    """Rows that have a value, its number, and the third that the row is in: of every value neighbours go together.

    Values of fewer rows than `_LEAST` a third are left out; nothing is kept where fewer than two values are left.
    """
    count = np.bincount(codes[codes >= 0], minlength=1)
    kept = np.flatnonzero(count >= _THIRDS * _LEAST)
    rows = np.flatnonzero(np.isin(codes, kept))
    if len(kept) < 2:
        rows = rows[:0]
    labels = np.searchsorted(kept, codes[rows])
    thirds = np.zeros(len(rows), int)
    for label in range(len(kept)):
        own = np.flatnonzero(labels == label)
        thirds[own] = np.arange(len(own)) * _THIRDS // max(1, len(own))
    return rows, labels, thirds


def _turn(
    values: Float[ndarray, "row head width"],
    labels: Int[ndarray, "row"],
    thirds: list[Bool[ndarray, "row"]],
    costs: Float[ndarray, "head"],
) -> tuple[Float[ndarray, "head"], float]:
    """Importance and share told right: directions of the first third, a fit to the second, judged by the last."""
    aim, fit, judge = thirds
    directions = value_directions(values[aim], labels[aim])
    hot = np.eye(labels.max() + 1)[labels]
    parts = np.einsum("nhw,hwr->nhr", values, directions)
    parts, target = parts - parts[fit].mean(0), hot - hot[fit].mean(0)
    best = _choose(
        (np.einsum("nhr,hrv->nhv", parts[judge], weights) for weights in _path(parts[fit], target[fit], costs)),
        target[judge],
    )
    guess = (best.sum(1) + hot[fit].mean(0)).argmax(1)
    share = (best * target[judge][:, None]).sum(-1).mean(0)
    return np.maximum(0, share), float((guess == labels[judge]).mean())


def _choose(
    fits: Iterable[Float[ndarray, "row head value"]], target: Float[ndarray, "row value"]
) -> Float[ndarray, "row head value"]:
    """The sparsest of these parts whose squared error is within one standard error of the least.

    `fits` come the sparsest first, and no more are asked for once they err by more than that.
    """
    told: list[Float[ndarray, "row head value"]] = []
    mean: list[float] = []
    most = np.inf
    for parts in fits:
        error = ((target - parts.sum(1)) ** 2).sum(1)
        told.append(parts)
        mean.append(float(error.mean()))
        if mean[-1] > most:
            break
        if mean[-1] == min(mean):
            most = mean[-1] + float(error.std()) / np.sqrt(len(error))
    return next(parts for parts, each in zip(told, mean, strict=True) if each <= most)


def value_directions(
    values: Float[ndarray, "row head width"], labels: Int[ndarray, "row"]
) -> Float[ndarray, "head width direction"]:
    """The leading directions in which each head's means over values differ, orthonormal."""
    hot = np.eye(labels.max() + 1)[labels]
    means = np.einsum("nv,nhw->hvw", hot / hot.sum(0), values)
    means = means - means.mean(1, keepdims=True)
    most = min(_DIRECTIONS, max(1, _FEATURES // len(means)), means.shape[1] - 1, means.shape[2])
    return np.linalg.svd(means, full_matrices=False)[2][:, :most].transpose(0, 2, 1)


def _path(
    parts: Float[ndarray, "row head direction"], target: Float[ndarray, "row value"], costs: Float[ndarray, "head"]
) -> Iterator[Float[ndarray, "head direction value"]]:
    """The fits of every penalty, the sparsest first, each begun where the last one ended."""
    gram = np.tensordot(parts, parts, (0, 0)) / len(parts)
    cross = np.tensordot(parts, target, (0, 0)) / len(parts)
    most = (np.linalg.norm(cross, axis=(1, 2)) / costs).max()
    weights = np.zeros_like(cross)
    for share in _PENALTIES:
        weights = group_lasso(gram, cross, share * most * costs, weights, _NEAR)
        yield weights
