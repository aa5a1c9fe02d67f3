"""Numbers with their bootstrap intervals: an estimate is the first of its draws, the others are resamples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.causal.costs import Estimate
from headroles.roles.chance import tail_share


def ratio(upper: Float[ndarray, "draw"], lower: Float[ndarray, "draw"]) -> Float[ndarray, "draw"]:
    """Upper over lower; infinite where lower is not above zero (and upper is)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower > 0, upper / lower, np.where(upper > 0, np.inf, np.nan))


def estimate(draws: Float[ndarray, "draw"], units: int) -> Estimate:
    """The first value, with the 95% interval of the others, which are resamples of so many units (`tail_share`)."""
    known = np.sort(draws[1:][~np.isnan(draws[1:])])
    tail = tail_share(units)
    ends = [known[round(share * (len(known) - 1))] for share in (tail, 1 - tail)] if len(known) else [np.nan, np.nan]
    return Estimate(*map(finite, (draws[0], *ends)))


def finite(value: float) -> float | None:
    """Six digits; None for what JSON has no number for."""
    return short(value) if np.isfinite(value) else None


def short(value: float) -> float:
    """Six digits of a number that is known to be finite."""
    return float(f"{float(value):.6g}")
