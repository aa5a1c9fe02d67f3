"""Agreement: do the heads that speak of what a task asks for serve it most? Rank correlations over heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.causal.selectivity import rank_correlation
from headroles.roles.chance import bca_interval

FEWEST = 6
"""Heads that an agreement needs."""


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation, over heads, of one measure of use with the role map's share of what is asked for."""

    use: str
    """Which measure: a field of HeadUse."""
    rho: float
    """Above 0: heads that speak of what is asked for are used more."""
    low: float | None
    """95% interval by bootstrap of heads (BCa); None where it is undefined."""
    high: float | None
    """Its other end."""
    p_value: float
    """One-sided, for rho above 0, by shuffling the shares of the heads of a layer among them: depth alone makes none
    small."""
    heads: int
    """Heads that it is over."""


def agree(
    use: str, values: Sequence[float | None], shares: Sequence[float], layers: Sequence[int], draws: int, seed: int
) -> Agreement | None:
    """Correlate; None where fewer than six heads have a value, or all values or shares are equal."""
    kept = [number for number, value in enumerate(values) if value is not None]
    if len(kept) < FEWEST:
        return None
    table = np.array([[values[number], shares[number]] for number in kept], float)
    rho = float(rank_correlation(table))
    if not np.isfinite(rho):
        return None
    rng = np.random.default_rng(seed)
    resamples = rng.integers(len(kept), size=(draws, len(kept)))
    low, high = bca_interval(table, resamples, rank_correlation) or (None, None)
    orders = shuffle_within(np.array(layers)[kept], draws, rng)
    shuffled = np.stack([np.broadcast_to(table[:, 0], orders.shape), table[:, 1][orders]], -1)
    p_value = (1 + (rank_correlation(shuffled) >= rho - 1e-12).sum()) / (1 + draws)
    return Agreement(use, rho, low, high, float(p_value), len(kept))


def shuffle_within(layers: Int[ndarray, "head"], draws: int, rng: np.random.Generator) -> Int[ndarray, "draw head"]:
    """Orders of the heads in which each stands in the place of one of its own layer."""
    keys = layers + rng.random((draws, len(layers)))  # Sorted by these, layers stay apart.
    places = np.argsort(layers, kind="stable")
    found = np.empty((draws, len(layers)), int)
    found[:, places] = np.argsort(keys, axis=1)
    return found


def mean_agreement(
    values: Float[ndarray, "task head"], shares: Float[ndarray, "task head"], layers: Int[ndarray, "head"],
    draws: int, seed: int,
) -> tuple[float, float]:  # fmt: skip
    """Mean of rho over tasks of the same heads, and its one-sided p-value.

    Tasks share their heads, so every shuffling of heads is the same in all tasks. Tasks without an order are left out;
    where none has one, both are nan.
    """
    orders = np.vstack([np.arange(len(layers)), shuffle_within(layers, draws, np.random.default_rng(seed))])
    rows = [
        rank_correlation(np.stack([np.broadcast_to(own, orders.shape), share[orders]], -1))
        for own, share in zip(values, shares, strict=True)
    ]
    rows = [row for row in rows if np.isfinite(row).all()]
    if not rows:
        return float("nan"), float("nan")
    means = np.mean(rows, axis=0)
    return float(means[0]), float((1 + (means[1:] >= means[0] - 1e-12).sum()) / (1 + draws))
