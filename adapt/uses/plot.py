"""Figures of TaskHeads: what each head is used for beside what it speaks of, and one against the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.adapt.uses.result import USES, TaskHeads
from headroles.errors import InputError
from headroles.figures.style import Drawing, figure_style

_CELL = 0.62
"""Inches."""
_MARKS = {"needed": "+", "harmful": "-", "free": "o", "unclear": "?"}
_LETTERS = 4
"""Of a concept's name, in a cell."""


def heads_figure(found: TaskHeads, use: str = "cost") -> Figure:
    """Two maps of layers by heads, deepest on top: a measure of use with verdicts, and the role map's share of what is
    asked for with dominant concepts."""
    _check(found, use)
    layers = sorted({each.layer for each in found.heads}, reverse=True)
    words = ", ".join(found.concepts)
    with figure_style():
        size = (2 * (1.2 + found.model.heads * _CELL), 1.5 + len(layers) * _CELL)
        figure = Drawing(figsize=size, layout="constrained")
        figure.suptitle(f"Heads that {found.task} uses, and heads that speak of {words}\n{found.model.name}", size=9)
        panels = figure.subplots(1, 2)
        values = _grid(found, layers, use)
        top = float(np.nanmax(np.abs(values))) or 1.0
        looks: list[dict[str, Any]] = [
            {"cmap": "PuOr", "vmin": -top, "vmax": top},
            {"cmap": "cividis", "vmin": 0, "vmax": 1},
        ]
        titles = (f"{USES[use]}\n(+ needed, - harmful, o free, ? unclear)", f"share of {words} in the role map")
        labels = ({each.head: _MARKS[each.verdict] for each in found.heads},
                  {each.head: each.concept[:_LETTERS] for each in found.heads})  # fmt: skip
        for axes, grid, look, title, own in zip(
            panels, (values, _grid(found, layers, "asked")), looks, titles, labels, strict=True
        ):
            names = [[own.get(f"L{layer}.H{head}", "") for head in range(found.model.heads)] for layer in layers]
            sns.heatmap(
                grid,
                ax=axes,
                annot=np.array(names),
                fmt="",
                linewidths=0.8,
                yticklabels=[str(layer) for layer in layers],
                **look,
            )
            axes.set_title(title, loc="left", size=8)
            axes.set(xlabel="head", ylabel="layer")
            axes.tick_params(rotation=0)
    return figure


def agreement_figure(found: TaskHeads) -> Figure:
    """A panel a measure of use: every head by the role map's share of what is asked for, and by the measure."""
    if not found.agreement:
        raise InputError("kind: no measure of use orders these heads; take kind heads")
    with figure_style():
        figure = Drawing(figsize=(0.6 + 2.3 * len(found.agreement), 2.6), layout="constrained")
        figure.suptitle(f"{found.task}: use by share of {', '.join(found.concepts)}", size=9)
        panels = figure.subplots(1, len(found.agreement), squeeze=False)[0]
        for axes, each in zip(panels, found.agreement, strict=True):
            values = found.values(each.use)
            points = [(use.asked, values[use.head]) for use in found.heads if use.head in values]
            axes.scatter(*zip(*points, strict=True), s=12)
            axes.set_title(f"rho {each.rho:+.2f}", loc="left", size=8)
            axes.set(xlabel="share in the role map", ylabel=each.use)
    return figure


def _check(found: TaskHeads, use: str) -> None:
    if not found.values(use):
        learned = {"weight": "ltv", "gate": "head-purification", "delta": "talo"}
        raise InputError(f"use: {use} was not learned; run task-heads again with --learn {learned.get(use, use)}")


def _grid(found: TaskHeads, layers: list[int], name: str) -> Float[ndarray, "layer head"]:
    grid = np.full((len(layers), found.model.heads), np.nan)
    for each in found.heads:
        value = getattr(each, name)
        grid[layers.index(each.layer), int(each.head.rpartition("H")[2])] = np.nan if value is None else value
    return grid
