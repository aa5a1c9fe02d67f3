"""Random sets of heads to hold a set of heads against: of the same layers, as many, and of similar variance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, islice, product
from math import comb, log, prod
from typing import TypeVar

import numpy as np

from headroles.heads.names import Head, Part

Place = TypeVar("Place", Head, Part)
"""Whole heads, or parts of heads; the layer comes first."""

_FACTOR = 2.0
"""How far the variance of a set may be from that of the set it is held against."""
_LEAST = 5
"""Sets to keep, the nearest, where fewer are within the factor."""
_ALL = 20_000
"""Up to so many candidates are all looked at; of more, so many are drawn."""


def draw_matched(
    heads: Sequence[Place],
    variance: Mapping[Place, float],
    draws: int,
    rng: np.random.Generator,
    among: Collection[Place] | None = None,
    apart: bool = True,
) -> list[tuple[Place, ...]]:
    """`draws` sets of other heads, or parts of heads, of `variance`, as many in every layer as `heads` has there.

    `among`: the heads that may be drawn; None: all. Unless `apart`, sets may share heads with `heads`, which is then
    as good as any other set of the pool; sets of the others alone vary less than it does, and a rank among them would
    claim more than it can know. Kept are sets whose summed variance is within a factor of two of
    that of `heads`, or the five nearest where fewer are. Sets repeat where there are fewer than `draws`. Empty where a
    layer has too few other heads.
    """
    counts = Counter(head[0] for head in heads)
    own_heads = set(heads)
    pool = [head for head in variance if (not apart if head in own_heads else among is None or head in among)]
    others = {layer: [head for head in pool if head[0] == layer] for layer in counts}
    if any(len(others[layer]) < count for layer, count in counts.items()):
        return []
    candidates = [members for members in _candidates(others, counts, rng) if set(members) != own_heads]
    if not candidates:
        return []
    own = sum(variance[head] for head in heads)
    sums = np.array([sum(variance[head] for head in members) for members in candidates])
    far = np.abs(np.log(np.maximum(sums, 1e-300) / max(own, 1e-300)))
    kept = np.argsort(far, kind="stable")[: max(int((far <= log(_FACTOR)).sum()), _LEAST)]
    again = len(kept) < draws
    return [candidates[number] for number in rng.choice(kept, draws, replace=again)]


def _candidates(
    others: Mapping[int, Sequence[Place]], counts: Mapping[int, int], rng: np.random.Generator
) -> list[tuple[Place, ...]]:
    """All sets, or many different ones."""
    whole = prod(comb(len(others[layer]), count) for layer, count in counts.items())
    if whole <= _ALL:
        parts = product(*(combinations(others[layer], count) for layer, count in sorted(counts.items())))
        return [tuple(head for part in parts_of_one for head in part) for parts_of_one in islice(parts, whole)]
    drawn: dict[tuple[Place, ...], None] = {}
    for _ in range(_ALL):
        members = [
            others[layer][number]
            for layer, count in sorted(counts.items())
            for number in sorted(rng.choice(len(others[layer]), count, replace=False))
        ]
        drawn[tuple(members)] = None
    return list(drawn)


def draw_any(pool: Sequence[Head], count: int, draws: int, rng: np.random.Generator) -> list[tuple[Head, ...]]:
    """`draws` sets of `count` heads of `pool`; empty where there are too few."""
    if len(pool) < count:
        return []
    return [tuple(pool[number] for number in sorted(rng.choice(len(pool), count, replace=False))) for _ in range(draws)]
