"""Ranks of methods over tasks: Friedman's test, and Nemenyi's critical difference (Demsar, JMLR 7, 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from headroles.errors import InputError

FEW = 10
"""Up to so many tasks the chi-square of Friedman's test is rough (Demsar, section 3.2.2)."""
ALPHA = 0.05


@dataclass(frozen=True)
class Ranks:
    """How methods rank over tasks; rank 1 is best, equal ones share their mean."""

    methods: tuple[str, ...]
    """By mean rank, the best first."""
    mean_ranks: tuple[float, ...]
    """Of each, over tasks."""
    tasks: int
    """How many tasks."""
    p_value: float
    """Friedman's, of all methods being alike."""
    critical: float
    """Methods whose mean ranks are less than this apart are not told apart, all pairs considered, at 5%."""

    @classmethod
    def of(cls, methods: Sequence[str], values: Float[ndarray, "method task"]) -> Ranks:
        """Of one figure a method and task, more being better. InputError for fewer than three methods or two tasks."""
        count, tasks = values.shape
        if count < 3 or tasks < 2:
            raise InputError(
                f"kind: ranks need at least 3 methods on 2 tasks, got {count} on {tasks}; compare more of them"
            )
        values = values.round(12)
        ranks = stats.rankdata(-values, axis=0).mean(1)
        order = sorted(range(count), key=lambda place: (ranks[place], methods[place]))
        alike = bool((values == values[0]).all())  # On every task; then nothing can be tested.
        quantile = float(stats.studentized_range.ppf(1 - ALPHA, count, np.inf)) / np.sqrt(2)
        return cls(
            tuple(methods[place] for place in order),
            tuple(float(ranks[place]) for place in order),
            tasks,
            1.0 if alike else float(stats.friedmanchisquare(*values).pvalue),
            float(quantile * np.sqrt(count * (count + 1) / (6 * tasks))),
        )

    @property
    def alike(self) -> tuple[tuple[int, int], ...]:
        """The longest runs of methods, first and last place, that are not told apart."""
        runs: list[tuple[int, int]] = []
        for first, rank in enumerate(self.mean_ranks):
            last = max(place for place, other in enumerate(self.mean_ranks) if other - rank < self.critical)
            if last > first and not (runs and runs[-1][1] >= last):
                runs.append((first, last))
        return tuple(runs)
