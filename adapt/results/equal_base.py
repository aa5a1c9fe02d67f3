"""Do two ways of adapting differ at equal base accuracy? Curves over strength, paired differences, and their power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from headroles.adapt.metrics import interval

_STEPS = 400
"""Base accuracies at which a difference is read off."""
_POWER = 0.8


def read_at_base(
    base: Float[ndarray, "strength"], values: Float[ndarray, "strength"], wanted: Float[ndarray, "wanted"]
) -> Float[ndarray, "wanted"]:
    """`values` at the least strength whose base accuracy is `wanted`, linear between strengths.

    The first strength, 0, is the frozen model; `wanted` lies between its base accuracy and the highest of the curve.
    """
    highest = np.maximum.accumulate(base)
    after = np.searchsorted(highest, wanted)  # The first strength that reaches it.
    before = np.maximum(after - 1, 0)
    step = base[after] - base[before]
    share = np.where(step > 0, (wanted - base[before]) / np.where(step > 0, step, 1), 1.0)
    found: Float[ndarray, "wanted"] = values[before] + share * (values[after] - values[before])
    return found


def mean_difference(one: Float[ndarray, "2 strength"], other: Float[ndarray, "2 strength"]) -> tuple[float, float]:
    """The area between two curves over their common base accuracies, divided by the length of these; and that length.

    A curve's rows are base accuracy and a value over rising strength, from the same frozen model on. The difference, of
    the first from the second, is 0 where they have nothing but that model in common, which is a length of 0.
    """
    low, high = max(one[0, 0], other[0, 0]), min(one[0].max(), other[0].max())
    if high <= low:
        return 0.0, 0.0
    wanted = low + (np.arange(_STEPS) + 0.5) / _STEPS * (high - low)
    apart = read_at_base(one[0], one[1], wanted) - read_at_base(other[0], other[1], wanted)
    return float(apart.mean()), float(high - low)


@dataclass(frozen=True)
class Paired:
    """A mean of paired differences, such as one a task, and what could have been seen."""

    mean: float
    """Of the differences."""
    bounds: tuple[float, float] | None
    """Student's 95% interval."""
    p_value: float
    """Two-sided, of the t test; 1 where all differences are 0."""
    detectable: float
    """The true mean that a test at this level would have seen with a probability of 80%, with their deviation."""


def pair_up(differences: Sequence[float], level: float = 0.05) -> Paired:
    """The differences' mean, with what a two-sided t test at `level` could have seen. At least two differences."""
    values = np.asarray(differences, dtype=float)
    error = float(stats.sem(values))
    p = float(stats.ttest_1samp(values, 0).pvalue) if error > 0 else float(values.mean() == 0)
    # In standard errors, as is usual.
    shift = sum(float(stats.t.ppf(share, len(values) - 1)) for share in (1 - level / 2, _POWER))
    return Paired(float(values.mean()), interval(values.tolist()), p, error * shift)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's p-values of a family of tests, in their order: rejecting those up to 5% errs at all in 5% at most."""
    order = np.argsort(p_values)
    found, largest = np.ones(len(p_values)), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        found[place] = min(1.0, largest)
    return found.tolist()
