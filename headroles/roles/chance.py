"""Chance: intervals that cover what they say, also with few units, and p-values that are never called 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import norm, t

LEAST_P = 1e-6
"""No p-value is said to be smaller: no test here is trusted so far out."""


def tail_share(units: int, level: float = 0.95) -> float:
    """The share of a bootstrap's draws that lies beyond either end of its interval, for so many resampled units.

    Resamples of n units spread like the units' own deviation with n instead of n - 1, and quantiles like the normal's
    instead of Student's t: percentile intervals of few units are too narrow. The shares are taken further out in turn
    (Hesterberg 2015, arXiv 1411.5279, section 5.3); for many units they are the percentiles'.
    """
    return float(norm.cdf(t.ppf((1 - level) / 2, units - 1) * np.sqrt(units / (units - 1)))) if units > 1 else 0.0


def bca_interval(
    values: Float[ndarray, "unit ..."],
    draws: Int[ndarray, "draw unit"],
    measure: Callable[[ndarray], Float[ndarray, "..."]],
    level: float = 0.95,
) -> tuple[float, float] | None:
    """The bias-corrected and accelerated bootstrap interval of `measure` over units (Efron 1987).

    `draws` are numbers of units with repetition; `measure` takes units in the axis before the last, with leading axes
    at will, and gives nan where it is undefined. None where it is undefined for all units, or most of the draws.
    """
    whole, drawn = float(measure(values)), measure(values[draws])
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(whole) or len(drawn) <= len(draws) / 2:
        return None
    units = np.arange(len(values))
    others = measure(np.stack([values[units != unit] for unit in units]))
    ends = _bca_shares(whole, drawn, others[np.isfinite(others)], level)
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def _bca_shares(
    whole: float, drawn: Float[ndarray, "draw"], others: Float[ndarray, "unit"], level: float
) -> Float[ndarray, "2"]:
    below = (np.sum(drawn < whole) + np.sum(drawn == whole) / 2) / len(drawn)
    bias = norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    pull = others.mean() - others if len(others) else np.zeros(1)
    scale = (pull**2).sum() ** 1.5
    bend = (pull**3).sum() / (6 * scale) if scale > 0 else 0.0
    z = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    return norm.cdf(bias + z / (1 - bend * z))
