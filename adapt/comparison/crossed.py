"""Means over tasks crossed with seeds: their intervals and p-values, for other tasks like these and other seeds.

Accuracies x of T tasks and S seeds are taken as x(t, s) = mean + task + seed + rest, all but the mean drawn at
random. The variance of the grand mean is then estimated without bias by (MS_T + MS_S - MS_R) / (T S), from the mean
squares of a two-way analysis of variance without replication; Satterthwaite's formula gives the degrees of freedom of
Student's t. Where the seeds' mean square does not exceed the rest's, no effect of seeds that tasks share is to be
seen, and what is left is the t interval over the tasks' means. `benchmarks/crossed_intervals.py` measures how often
these hold the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from headroles.adapt.metrics import harmonic_mean

LEVEL = 0.95
"""Of all intervals."""


@dataclass(frozen=True)
class CrossedMean:
    """A mean over tasks and seeds."""

    mean: float
    """The grand mean."""
    error: float | None = None
    """Its standard error; None of a single cell."""
    freedom: float = 0.0
    """Degrees of freedom of Student's t."""

    @classmethod
    def of(cls, cells: Float[ndarray, "task seed"]) -> CrossedMean:
        """Of all cells, each once. One task leaves the t interval over seeds, one seed that over tasks."""
        tasks, seeds = cells.shape
        grand = float(cells.mean())
        if cells.size < 2:
            return cls(grand)
        rows, columns = cells.mean(1), cells.mean(0)
        if 1 in cells.shape:
            return cls(grand, float(stats.sem(cells.ravel())), cells.size - 1)
        rest = cells - rows[:, None] - columns + grand
        squares = (
            seeds * float(((rows - grand) ** 2).sum()) / (tasks - 1),
            tasks * float(((columns - grand) ** 2).sum()) / (seeds - 1),
            float((rest**2).sum()) / ((tasks - 1) * (seeds - 1)),
        )
        variance, freedom = _combine(*squares, tasks, seeds)
        return cls(grand, float(np.sqrt(variance / cells.size)), freedom)

    @property
    def half(self) -> float | None:
        """Half the 95% interval; None where there is none."""
        return None if self.error is None else float(stats.t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error

    @property
    def p_value(self) -> float | None:
        """Two-sided, of a mean of 0; None where nothing varies."""
        if not self.error:
            return None
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def _combine(by_task: float, by_seed: float, rest: float, tasks: int, seeds: int) -> tuple[float, float]:
    """T S times the variance of the grand mean, from the three mean squares, and its degrees of freedom."""
    if by_seed <= rest:
        return by_task, tasks - 1
    whole = by_task + by_seed - rest
    parts = by_task**2 / (tasks - 1) + by_seed**2 / (seeds - 1) + rest**2 / ((tasks - 1) * (seeds - 1))
    return whole, whole**2 / parts


def join_halves(base: Float[ndarray, "task seed"], novel: Float[ndarray, "task seed"]) -> Float[ndarray, "task seed"]:
    """Cells whose mean is the harmonic mean of two grand means, and whose scatter is its own to first order."""
    means = float(base.mean()), float(novel.mean())
    total = sum(means)
    if not total:
        return np.zeros_like(base)
    slopes = 2 * (means[1] / total) ** 2, 2 * (means[0] / total) ** 2
    return harmonic_mean(*means) + slopes[0] * (base - means[0]) + slopes[1] * (novel - means[1])


def adjust_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values, which hold the chance of any false finding; None stays None and is not counted."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[place] = least
    return adjusted
