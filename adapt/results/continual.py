"""Continual learning in six numbers, from the accuracies on every task after every training (survey, arXiv 2508.04227).

`accuracies[i, j]` is the accuracy on task i after training on the first j of T tasks: a row a task, and T + 1 columns,
the first of them zero-shot. Task 0 is trained first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from headroles.errors import InputError


@dataclass(frozen=True)
class ContinualMeasures:
    """The six numbers; in [0, 1], differences in [-1, 1]."""

    transfer: float
    """On tasks that are not trained yet: mean over tasks but the first, of the mean after trainings before its own."""
    average: float
    """Mean over tasks and over all trainings."""
    last: float
    """Mean over tasks after the last training."""
    forgetting: float
    """Mean over tasks but the last, of the best after its own training and before the last one, less the last."""
    backward_transfer: float
    """Mean over tasks but the last, of the last less that right after its own training: below 0, it is forgotten."""
    zero_shot_degradation: float
    """Mean over tasks but the first, of the best before its own training, zero-shot too, less the last of these."""


def measure_continual(accuracies: Sequence[Sequence[float]] | ndarray) -> ContinualMeasures:
    """The six numbers of T >= 2 tasks; InputError for a table of another shape, or values outside [0, 1]."""
    table = _check(accuracies)
    count = len(table)
    first, later = range(count - 1), range(1, count)
    # Task i, counted from 0, is trained in column i + 1.
    return ContinualMeasures(
        transfer=_mean(table[i, 1 : i + 1].mean() for i in later),
        average=float(table[:, 1:].mean()),
        last=float(table[:, -1].mean()),
        forgetting=_mean((table[i, i + 1 : count] - table[i, -1]).max() for i in first),
        backward_transfer=_mean(table[i, -1] - table[i, i + 1] for i in first),
        zero_shot_degradation=_mean(table[i, : i + 1].max() - table[i, i] for i in later),
    )


def _check(accuracies: Sequence[Sequence[float]] | ndarray) -> ndarray:
    try:
        table = np.asarray(accuracies, dtype=float)
    except (TypeError, ValueError):
        raise InputError("accuracies: expected a table of numbers, a row a task; got rows of several lengths") from None
    if table.ndim != 2 or len(table) < 2 or table.shape[1] != len(table) + 1:
        raise InputError(
            f"accuracies: expected a row for each of T >= 2 tasks and T + 1 columns, zero-shot first; got {table.shape}"
        )
    if not ((table >= 0) & (table <= 1)).all():
        raise InputError("accuracies: expected numbers in [0, 1]; got others, such as percent or none at all")
    return table


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
