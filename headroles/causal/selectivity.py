"""Causal selectivity: how far the cost of cutting one head is one concept's; do entropy or rank foretell it?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import rankdata
from scipy.stats import t as student

from headroles.causal.block_costs import BlockCosts
from headroles.causal.costs import Correlation, HeadEffect
from headroles.causal.estimates import finite, short
from headroles.roles.chance import LEAST_P, bca_interval
from headroles.roles.role_map import HeadRole

_COLUMNS = {
    "entropy": [0, 1],
    "effective_rank": [0, 2],
    "entropy_beside_rank": [0, 1, 2],
    "rank_beside_entropy": [0, 2, 1],
}
"""The same -> columns of selectivity, entropy and effective rank: what is correlated, then what is held."""
_FEWEST = 6
"""Heads that a rank correlation needs here."""
_RESAMPLES = 2000
"""Of heads, for the intervals of the correlations."""


def selectivities(times: Float[ndarray, "... concept"]) -> Float[ndarray, "..."]:
    """1 - normalised entropy of losses over concepts, gains counted as none; NaN where there is nothing to compare."""
    known = ~np.isnan(times)
    losses = np.where(known, np.maximum(times, 0), 0)
    whole, count = losses.sum(-1, keepdims=True), known.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = losses / whole
        bits = -np.where(share > 0, share * np.log2(share), 0).sum(-1)
        return np.where((whole[..., 0] > 0) & (count > 1), 1 - bits / np.log2(count), np.nan)


def head_effects(costs: BlockCosts) -> tuple[HeadEffect, ...]:
    """Every scored head, cut alone."""
    return tuple(_effect(costs, row, head) for row, head in enumerate(costs.sets.heads))


def correlate(costs: BlockCosts, seed: int) -> dict[str, Correlation]:
    """Those of `CORRELATIONS` that are defined, each with its interval over heads."""
    effects = [effect for effect in head_effects(costs) if effect.selectivity is not None]
    rows = [(effect.selectivity, effect.entropy, effect.effective_rank) for effect in effects]
    table = np.array(rows, dtype=float)
    if len(table) < _FEWEST:
        return {}
    return correlate_table(table, np.random.default_rng([seed, 7]).integers(len(table), size=(_RESAMPLES, len(table))))


def correlate_table(table: Float[ndarray, "head 3"], draws: Int[ndarray, "draw head"] | None) -> dict[str, Correlation]:
    """Those of `CORRELATIONS` that are defined, of columns selectivity, entropy, effective rank; without `draws` no
    intervals."""
    found = {name: _correlation(table[:, columns], draws) for name, columns in _COLUMNS.items()}
    return {name: each for name, each in found.items() if each is not None}


def rank_correlation(values: Float[ndarray, "... head column"]) -> Float[ndarray, "..."]:
    """Spearman's of the first two columns, with those beyond them held (partial); nan where it is undefined."""
    ranks = rankdata(values, axis=-2)
    ranks = ranks - ranks.mean(-2, keepdims=True)
    for column in range(2, values.shape[-1]):
        beside = ranks[..., column : column + 1]
        whole = (beside**2).sum(-2, keepdims=True)
        slope = (ranks * beside).sum(-2, keepdims=True) / np.where(whole > 0, whole, 1)
        ranks = ranks - slope * beside
    size = (ranks[..., :2] ** 2).sum(-2)
    scale = np.sqrt(size.prod(-1))
    defined = (size > 1e-9 * values.shape[-2] ** 3).all(-1)
    return np.where(defined, (ranks[..., 0] * ranks[..., 1]).sum(-1) / np.where(defined, scale, 1), np.nan)


def _correlation(values: Float[ndarray, "head column"], draws: Int[ndarray, "draw head"] | None) -> Correlation | None:
    rho = float(rank_correlation(values)) if np.isfinite(values).all() else np.nan
    if not np.isfinite(rho):
        return None
    low, high = (None if draws is None else bca_interval(values, draws, rank_correlation)) or (None, None)
    free = len(values) - values.shape[1]
    ratio = abs(rho) * np.sqrt(free / max(1e-12, 1 - rho**2))
    p = max(LEAST_P, 2 * float(student.sf(ratio, free)))
    return Correlation(
        rho=short(rho),
        low=None if low is None else short(low),
        high=None if high is None else short(high),
        p_value=short(p),
        heads=len(values),
    )


def _effect(costs: BlockCosts, row: int, head: HeadRole) -> HeadEffect:
    lost = costs.single[0, row]
    times = lost / costs.unit[0]
    (selectivity,) = selectivities(times[None])
    strongest = None if np.isnan(selectivity) else costs.concepts[int(np.nanargmax(times))]
    named = {name: short(value) for name, value in zip(costs.concepts, lost, strict=True)}
    known = head.name, head.role, head.concept, head.entropy, head.effective_rank
    return HeadEffect(*known, strongest, finite(selectivity), named, head.stands_out)
