"""Figures of a Continual: the matrix of every strategy, and how far each head has moved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from headroles.adapt.continual.result import Continual
from headroles.errors import InputError
from headroles.figures.page import head
from headroles.figures.style import Drawing, figure_style, now

_COLUMNS = 3
_CELL, _SMALL, _WRITTEN = 0.55, 0.24, 8
"""Inches of a cell, of one among many, and heads of a layer up to which numbers are written."""


def matrix_figure(found: Continual) -> Figure:
    """A panel a strategy: accuracy on every task (rows) after every training (columns), percent, mean over seeds."""
    count = len(found.tasks)
    with figure_style():
        size = (2.2 + (count + 1) * _CELL, 0.9 + count * _CELL)
        figure, panels = _page(found, "Accuracy on every task after every training, %", len(found.strategies), size)
        style: dict[str, Any] = {"annot": True, "fmt": ".0f", "vmin": 0, "vmax": 100, "cmap": "mako_r", "cbar": False}
        for axes, strategy in zip(panels, found.strategies, strict=True):
            ticks: dict[str, Any] = {"xticklabels": ["zero-shot", *range(1, count + 1)], "yticklabels": found.tasks}
            sns.heatmap(100 * found.matrix(strategy), ax=axes, linewidths=0.8, **style, **ticks)
            axes.set_title(strategy, loc="left", weight="bold")
            axes.set(xlabel="tasks trained")
            axes.tick_params(rotation=0)
    return figure


def drift_figure(found: Continual) -> Figure:
    """A panel a strategy: 1 - cosine of every head's mean contribution with the frozen CLIP's, mean over tasks."""
    if not found.drift:
        raise InputError("kind: the drift of heads was not measured; adapt again with drift_images above 0")
    strategies = list(dict.fromkeys(each.strategy for each in found.drift))
    maps = {
        name: np.mean([each.values for each in found.drift if each.strategy == name], axis=0) for name in strategies
    }
    layers, heads = maps[strategies[0]].shape
    with figure_style():
        written = heads <= _WRITTEN
        cell = _CELL if written else _SMALL
        size = (1.2 + heads * cell + 0.6 * (not written), 0.9 + layers * cell)
        figure, panels = _page(found, "Drift of heads after all tasks, 1 - cosine", len(strategies), size)
        style: dict[str, Any] = {"annot": written, "fmt": ".2f", "vmin": 0, "cmap": "rocket_r", "cbar": not written}
        style["vmax"] = max(each.max() for each in maps.values()) or 1
        for axes, name in zip(panels, strategies, strict=True):
            ticks: dict[str, Any] = {"xticklabels": range(heads), "yticklabels": range(layers - 1, -1, -1)}
            sns.heatmap(maps[name][::-1], ax=axes, linewidths=0.8, **style, **ticks)
            axes.set_title(name, loc="left", weight="bold")
            axes.set(xlabel="head", ylabel="layer")
            axes.tick_params(rotation=0)
    return figure


def _page(found: Continual, heading: str, panels: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    """A figure with a heading and as many panels of this size."""
    shrink = now().shrink
    wide = min(panels, _COLUMNS, max(1, int(now().most / (shrink * size[0]))))
    high = math.ceil(panels / wide)
    page = max(shrink * 4, shrink * wide * size[0]), shrink * high * size[1]
    figure = Drawing(figsize=page, layout="constrained", fits=False)
    seeds = f"seed{'s' * (len(found.seeds) > 1)} {', '.join(map(str, found.seeds))}"
    head(figure, heading, f"{found.model}, {found.method}, {seeds}")
    axes = figure.subplots(high, wide, squeeze=False).flatten().tolist()
    for each in axes[panels:]:
        each.remove()
    return figure, axes[:panels]
