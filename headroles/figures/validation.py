"""Figures of a Validation: concept x concept, and every head's Concept Entropy beside its causal selectivity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import rankdata

from headroles.causal.costs import Estimate, HeadEffect
from headroles.causal.validation import Validation
from headroles.errors import InputError
from headroles.figures.marks import mark_roles, role_keys
from headroles.figures.names import name_points
from headroles.figures.page import head
from headroles.figures.style import GREY, INK, Drawing, figure_of, figure_style, ink_on

_TICKS = (-100, -10, -1, 0, 1, 10, 100, 1000)
_COLORS = "vlag"
"""Red: a concept loses; blue: it gains; white: neither."""
_OUTLIERS = 4
"""So many heads that lie furthest from the line of the ranks are named beside the Attribute heads."""


def matrix_figure(validation: Validation, ax: Axes | None = None) -> Figure:
    """Rows: whose Attribute heads were cut. Columns: what lost how much, in times of a head of all tests' matched sets.

    The colour is logarithmic beyond 1, red where a concept loses, blue where it gains; a frame marks a concept's own
    heads. With `ax` it is drawn into that. InputError where no concept's heads were cut.
    """
    if not validation.tests:
        raise InputError("kind: no concept's heads were cut in this validation, so there is no matrix")
    columns, rows = [concept.name for concept in validation.concepts], [test.concept for test in validation.tests]
    times = np.array(
        [[_number(test.costs[name].times.value) for name in columns] for test in validation.tests], dtype=float
    )
    top = max(2.0, np.nanmax(np.abs(times), initial=2.0))
    norm = SymLogNorm(1, vmin=-top, vmax=top)
    with figure_style():
        size = (2.6 + 0.62 * len(columns), 2.2 + 0.42 * len(rows))
        heading = f"What cutting a concept's heads costs: {_verdict(validation)}"
        axes = _axes(validation, heading, size) if ax is None else ax
        bar = {"ticks": [tick for tick in _TICKS if abs(tick) <= top], "format": "%g", "label": "margin lost a head"}
        labels = [f"{test.concept} ({len(test.heads)})" for test in validation.tests]
        look: dict[str, Any] = {"linewidths": 1.2, "cbar_kws": bar, "cmap": _COLORS, "vmin": -top, "vmax": top}
        sns.heatmap(times, norm=norm, ax=axes, xticklabels=columns, yticklabels=labels, **look)
        _write_cells(axes, times, norm)
        for row, name in enumerate(rows):
            if name in columns:
                axes.add_patch(Rectangle((columns.index(name), row), 1, 1, fill=False, edgecolor=INK, linewidth=1.6))
        unit = "concept that loses\n1: as much as a head of the matched sets costs on average"
        if np.isnan(times).any():
            unit += "; -: cannot be said, as those cost nothing"
        axes.set(xlabel=unit, ylabel="Attribute heads cut (how many)")
        axes.tick_params(axis="x", rotation=45)
        axes.tick_params(axis="y", rotation=0)
    return figure_of(axes)


def _verdict(validation: Validation) -> str:
    """How many concepts lose more by their own heads than by matched ones and than others lose."""
    sure = [test for test in validation.tests if _above(test.against_random, 1) and _above(test.against_others, 1)]
    return f"{len(sure)} of {len(validation.tests)} matter to their concept above all"


def _above(estimate: Estimate | None, bound: float) -> bool:
    """Whether the whole interval lies above the bound."""
    return estimate is not None and estimate.low is not None and estimate.low > bound


def _write_cells(axes: Axes, times: np.ndarray, norm: SymLogNorm) -> None:
    colors = matplotlib.colormaps[_COLORS]
    for (row, column), value in np.ndenumerate(times):
        text = "-" if np.isnan(value) else f"{round(value, 1) + 0.0:.1f}"
        ink = INK if np.isnan(value) else ink_on(colors(norm(value)))
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink)


def selectivity_figure(validation: Validation, ax: Axes | None = None) -> Figure:
    """One marker a scored head: its Concept Entropy, and how much the cost of cutting it is one concept's.

    Hollow: heads that do not stand out from chance. With `ax` it is drawn into that.
    """
    with figure_style():
        heading = "Do heads of low Concept Entropy matter to one concept?"
        axes = _axes(validation, heading, (5.6, 3.8)) if ax is None else ax
        scored = [head for head in validation.heads if head.selectivity is not None]
        x, y = (np.array([getattr(head, name) for head in scored], float) for name in ("entropy", "selectivity"))
        mark_roles(axes, scored, x, y, size=5.3)
        if not scored:
            axes.text(0.5, 0.5, "no head has a selectivity", transform=axes.transAxes, ha="center", color=GREY)
        if "entropy" in validation.correlations:
            axes.set_title(f"Spearman {validation.correlations['entropy']}", loc="right", color=GREY)
        axes.legend(handles=role_keys(scored), frameon=False, loc="lower left")
        right = max([1.0, *(head.entropy + 0.02 for head in validation.heads)])
        axes.set(xlabel="Concept Entropy", ylabel="causal selectivity", xlim=(0, right), ylim=(-0.02, 1.02))
        sns.despine(ax=axes)
        _name_heads(axes, scored)
    return figure_of(axes)


def _name_heads(axes: Axes, heads: Sequence[HeadEffect]) -> None:
    """Names beside Attribute heads and outliers, moved apart; the axes have their limits by now."""
    odd = np.argsort(-_off_line(heads), kind="stable")[:_OUTLIERS].tolist()
    named = [head for at, head in enumerate(heads) if head.role == "attribute" or at in odd]
    places = {head.name: (head.entropy, head.selectivity or 0.0) for head in heads}
    name_points(axes, {head.name: places[head.name] for head in named}, list(places.values()))


def _off_line(heads: Sequence[HeadEffect]) -> Float[np.ndarray, "head"]:
    """How far a head's rank by selectivity is from what its rank by entropy foretells."""
    entropy, selectivity = (rankdata([getattr(head, name) for head in heads]) for name in ("entropy", "selectivity"))
    return np.abs(entropy + selectivity - len(heads) - 1)


def _axes(validation: Validation, heading: str, size: tuple[float, float]) -> Axes:
    """The one axes of a new figure with a heading."""
    how = f"{validation.settings['effect']} effect, {validation.settings['mode']}"
    facts = f"{validation.model.name}, {validation.images.count:,} images ({validation.images.source}), {how}"
    figure = Drawing(figsize=size, layout="constrained")
    head(figure, heading, facts)
    return figure.subplots()


def _number(value: float | None) -> float:
    return np.nan if value is None else value
