"""Causal selectivity: how far the cost of cutting one head is one concept's; does Concept Entropy foretell it?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import spearmanr

from headroles.causal.block_costs import BlockCosts
from headroles.causal.costs import Correlation, HeadEffect
from headroles.causal.estimates import finite, short
from headroles.roles.role_map import HeadRole

_FEWEST = 4
"""Heads that a rank correlation needs here."""


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


def correlate(costs: BlockCosts, seed: int) -> Correlation | None:
    """Spearman's rank correlation of Concept Entropy and selectivity, with its interval over heads and images.

    None where fewer than two concepts, or fewer than four heads, can be compared.
    """
    entropy = np.array([head.entropy for head in costs.sets.heads])
    drawn = selectivities(costs.single / costs.unit[:, None])
    usable = ~np.isnan(drawn[0])
    if usable.sum() < _FEWEST or not (_varies(entropy[usable]) and _varies(drawn[0, usable])):
        return None
    found = spearmanr(entropy[usable], drawn[0, usable])
    rng = np.random.default_rng([seed, 7])
    rhos = []
    for row in drawn[1:]:
        chosen = rng.choice(np.flatnonzero(usable), usable.sum())
        chosen = chosen[~np.isnan(row[chosen])]
        if _varies(entropy[chosen]) and _varies(row[chosen]):
            rhos.append(spearmanr(entropy[chosen], row[chosen]).statistic)
    low, high = np.quantile(rhos, [0.025, 0.975])
    return Correlation(
        rho=short(found.statistic),
        low=short(low),
        high=short(high),
        p_value=short(found.pvalue),
        heads=int(usable.sum()),
    )


def _effect(costs: BlockCosts, row: int, head: HeadRole) -> HeadEffect:
    lost = costs.single[0, row]
    times = lost / costs.unit[0]
    (selectivity,) = selectivities(times[None])
    strongest = None if np.isnan(selectivity) else costs.concepts[int(np.nanargmax(times))]
    named = {name: short(value) for name, value in zip(costs.concepts, lost, strict=True)}
    return HeadEffect(head.name, head.role, head.concept, head.entropy, strongest, finite(selectivity), named)


def _varies(values: Float[ndarray, "head"]) -> bool:
    return len(set(values)) > 1
