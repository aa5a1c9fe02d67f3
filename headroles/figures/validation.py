"""Figures of a Validation: concept x concept, and every head's Concept Entropy beside its causal selectivity."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headroles.causal.validation import Validation
from headroles.figures.marks import MARKERS, role_keys
from headroles.figures.style import GREY, INK, Drawing, figure_of, figure_style

_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000)


def matrix_figure(validation: Validation, ax: Axes | None = None) -> Figure:
    """Rows: whose Attribute heads were cut. Columns: what lost how much, in times of a head of all tests' matched sets.

    The colour is logarithmic above 1; a frame marks a concept's own heads. With `ax` it is drawn into that.
    """
    columns, rows = [concept.name for concept in validation.concepts], [test.concept for test in validation.tests]
    times = np.array(
        [[_number(test.costs[name].times.value) for name in columns] for test in validation.tests], dtype=float
    )
    top = max(2.0, np.nanmax(times, initial=2.0))
    norm = SymLogNorm(1, vmin=0, vmax=top)
    with figure_style():
        size = (2.6 + 0.62 * len(columns), 2.2 + 0.42 * len(rows))
        axes = _axes(validation, "What cutting a concept's heads costs", size) if ax is None else ax
        bar = {"ticks": [tick for tick in _TICKS if tick <= top], "format": "%g", "label": "margin lost, matched heads"}
        labels = [f"{test.concept} ({len(test.heads)})" for test in validation.tests]
        look: dict[str, Any] = {"linewidths": 1.2, "cbar_kws": bar, "cmap": "cividis", "vmin": 0, "vmax": top}
        sns.heatmap(np.maximum(times, 0), norm=norm, ax=axes, xticklabels=columns, yticklabels=labels, **look)
        _write_cells(axes, times, norm)
        for row, name in enumerate(rows):
            if name in columns:
                axes.add_patch(Rectangle((columns.index(name), row), 1, 1, fill=False, edgecolor=INK, linewidth=1.6))
        axes.set(xlabel="concept that loses", ylabel="Attribute heads cut (how many)")
        axes.tick_params(axis="x", rotation=45)
        axes.tick_params(axis="y", rotation=0)
    return figure_of(axes)


def _write_cells(axes: Axes, times: np.ndarray, norm: SymLogNorm) -> None:
    colors = matplotlib.colormaps["cividis"]
    for (row, column), value in np.ndenumerate(times):
        text = "-" if np.isnan(value) else f"{round(value, 1) + 0.0:.1f}"
        light = np.isnan(value) or sns.utils.relative_luminance(colors(norm(max(value, 0)))) > 0.21
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=INK if light else "white")


def selectivity_figure(validation: Validation, ax: Axes | None = None) -> Figure:
    """One marker a scored head: its Concept Entropy, and how much the cost of cutting it is one concept's.

    With `ax` it is drawn into that.
    """
    with figure_style():
        heading = "Do heads of low Concept Entropy matter to one concept?"
        axes = _axes(validation, heading, (5.6, 4.2)) if ax is None else ax
        for role, (marker, color) in MARKERS.items():
            heads = [
                (head.name, head.entropy, head.selectivity)
                for head in validation.heads
                if head.role == role and head.selectivity is not None
            ]
            place = [entropy for _, entropy, _ in heads], [selectivity for _, _, selectivity in heads]
            axes.scatter(*place, marker=marker, color=color, edgecolor=INK, linewidth=0.6, s=28)
            for name, x, y in heads:
                axes.annotate(name, (x, y), (3, 3), textcoords="offset points", size=6, color=GREY)
        if "entropy" in validation.correlations:
            text = f"Spearman {validation.correlations['entropy']}"
            axes.text(0.98, 0.97, text, transform=axes.transAxes, ha="right", va="top")
        axes.legend(handles=role_keys(), frameon=False, loc="lower left")
        right = max([1.0, *(head.entropy + 0.02 for head in validation.heads)])
        axes.set(xlabel="Concept Entropy", ylabel="causal selectivity", xlim=(0, right), ylim=(-0.02, 1.02))
        sns.despine(ax=axes)
    return figure_of(axes)


def _axes(validation: Validation, heading: str, size: tuple[float, float]) -> Axes:
    """The one axes of a new figure with a heading."""
    how = f"{validation.settings['effect']} effect, {validation.settings['mode']}"
    facts = f"{validation.model.name}, {validation.images.count:,} images ({validation.images.source}), {how}"
    figure = Drawing(figsize=size, layout="constrained")
    figure.suptitle(f"{heading}\n{facts}", size=9)
    return figure.subplots()


def _number(value: float | None) -> float:
    return np.nan if value is None else value
