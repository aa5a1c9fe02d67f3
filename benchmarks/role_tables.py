"""Figures of runs of `role_runs.py`, and Markdown tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np

from headroles.adapt.metrics import harmonic_mean, interval

FIGURES = ("base", "novel", "mean of hm", "hm of means", "retention")
"""Of several tasks together."""

Rows = dict[tuple[str, int, str], dict[str, Any]]
"""(task, seed, variant) -> run."""


def read_figures(rows: Rows, variant: str, place: int, tasks: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
    """Base, novel, their harmonic mean and the change of the kept ones, at a place of the curve: (task, seed, 4)."""

    def read(row: dict[str, Any]) -> list[float]:
        base, novel = row["base"][place], row["novel"][place]
        return [base, novel, harmonic_mean(base, novel), row["kept"][place] - row["kept"][0]]

    return np.array([[read(rows[task, seed, variant]) for seed in seeds] for task in tasks])


def over_tasks(values: np.ndarray) -> np.ndarray:
    """FIGURES (seed, 5) from figures (task, seed, 4)."""
    base, novel, own, retention = np.moveaxis(values.mean(0), -1, 0)
    return np.stack([base, novel, own, np.vectorize(harmonic_mean)(base, novel), retention], -1)


def print_table(rows: dict[str, np.ndarray], figures: Sequence[str], write: Callable[[np.ndarray], str]) -> None:
    """One row a variant, one column a figure: the mean over the first axis of (seed or task, figure)."""
    print_head("", *figures)
    for name, values in rows.items():
        print_line(name, *(write(column) for column in values.T))


def print_head(*cells: str) -> None:
    """The first two lines of a table."""
    print_line(*cells)
    print_line(*["---"] * len(cells))


def print_line(*cells: str) -> None:
    """A line of a table."""
    click.echo("| " + " | ".join(cells) + " |")


def plain(values: np.ndarray, sign: str = "") -> str:
    """Mean and half the width of the 95% t interval, in percent."""
    bounds = interval(values.tolist())
    around = "" if bounds is None else f" ± {50 * (bounds[1] - bounds[0]):.1f}"
    return f"{100 * values.mean():{sign}.1f}{around}"


def signed(values: np.ndarray) -> str:
    """The same with its sign, of a difference."""
    return plain(values, "+")
