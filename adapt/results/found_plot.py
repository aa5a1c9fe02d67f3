"""The picture of what a method has found out: a map of layers by heads, or by their tokens, beside the role map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.adapt.methods.findings import Findings
from headroles.adapt.results.plot import Given, Run, list_runs, run_page
from headroles.errors import InputError
from headroles.figures.entropy import entropy_figure
from headroles.figures.style import figure_of, figure_style

_CELL = 0.5
"""Inches."""


def found_figure(runs: Given, ax: Axes | None = None) -> Figure:
    """The number of every part of a layer that the method's findings name, mean over seeds, deepest layer on top.

    At its right the role map, where the method was given one. With `ax` the map alone is drawn into that. InputError
    where the method has found nothing to draw.
    """
    runs = list_runs(runs)
    found = [run.findings for run in runs if run.findings is not None and run.findings.drawn]
    if len(found) < len(runs) or not runs:
        raise InputError(f"kind: {runs[0].info.method} has found nothing to draw; take kind curves")
    with figure_style():
        if ax is None:
            ax = _lay_out(runs, found[0])
        _draw(ax, found)
    return figure_of(ax)


def _lay_out(runs: Sequence[Run], found: Findings) -> Axes:
    """The map's axes, with the role map drawn beside them where there is one."""
    rows, columns = len({each.layer for each in found}), len({each.part for each in found})
    run = runs[0]
    mapped = run.info.role_map_sha256 is not None
    size = (2.2 + _CELL * columns) * (2 if mapped else 1) + 1.2 * mapped, 1.6 + _CELL * rows + 1.4 * mapped
    figure = run_page(runs, f"{found.drawn.capitalize()} by {run.info.method}", size)
    axes = figure.subplots(1, 2 if mapped else 1, squeeze=False)[0]
    if mapped:
        entropy_figure(run.role_map, ax=axes[1])
    first: Axes = axes[0]
    return first


def _draw(axes: Axes, found: list[Findings]) -> None:
    """The cells."""
    layers = sorted({each.layer for each in found[0]}, reverse=True)
    parts = list(dict.fromkeys(each.part for each in found[0]))
    values = np.nanmean([_grid(each, layers, parts) for each in found], 0)
    top = float(np.nanmax(np.abs(values))) or 1.0
    signed = bool((values < 0).any())
    look: dict[str, Any] = {"cmap": "PuOr_r" if signed else "cividis", "vmin": -top if signed else 0, "vmax": top}
    look |= {"xticklabels": parts, "yticklabels": layers, "linewidths": 1.2}
    sns.heatmap(values, ax=axes, **look)
    axes.set(ylabel="layer", xlabel=found[0].drawn)
    axes.tick_params(axis="y", rotation=0)


def _grid(found: Findings, layers: list[int], parts: list[str]) -> Float[ndarray, "layer part"]:
    grid = np.full((len(layers), len(parts)), np.nan)
    for each in found:
        grid[layers.index(each.layer), parts.index(each.part)] = each.values[found.drawn]
    return grid
