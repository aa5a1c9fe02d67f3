"""Figures of TaskHeads: what each head is used for beside what it speaks of, and one against the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.adapt.uses.result import USES, TaskHeads
from headroles.errors import InputError
from headroles.figures.marks import MARKERS, concept_codes
from headroles.figures.page import head
from headroles.figures.style import INK, Drawing, figure_style, now

_CELL, _TALL, _BESIDE = 0.5, 7.5, 8
"""Inches of a cell, and of all rows where cells can be smaller; heads up to which both maps lie side by side."""
_MARKS = {"needed": "+", "harmful": "-", "free": "o", "unclear": "?"}


def heads_figure(found: TaskHeads, use: str = "cost") -> Figure:
    """Two maps of layers by heads, deepest on top: a measure of use with verdicts, and the role map's share of what is
    asked for with the codes of dominant concepts."""
    _check(found, use)
    layers = sorted({each.layer for each in found.heads}, reverse=True)
    codes = concept_codes(sorted({each.concept for each in found.heads if each.concept}))
    words, values = ", ".join(found.concepts), _grid(found, layers, use)
    top = float(np.nanmax(np.abs(values))) or 1.0
    verdicts = {each.head: _MARKS[each.verdict] for each in found.heads}
    concepts = {each.head: codes.get(each.concept, "") for each in found.heads}
    with figure_style():
        down, size = _sizes(found.model.heads, len(layers))
        figure = Drawing(figsize=size, layout="constrained", fits=False)
        key = ", ".join(f"{code} {concept}" for concept, code in codes.items())
        facts = f"{found.model.name}; + needed, - harmful, o free, ? unclear; {key}"
        head(figure, f"Heads that {found.task} uses, and heads that speak of {words}", facts)
        upper, lower = figure.subplots(*((2, 1) if down else (1, 2)))
        _map(upper, values, layers, verdicts, {"cmap": "PuOr", "vmin": -top, "vmax": top})
        upper.set_title(USES[use], loc="left")
        _map(lower, _grid(found, layers, "asked"), layers, concepts, {"cmap": "cividis", "vmin": 0, "vmax": 1})
        lower.set_title(f"share of {words}", loc="left")
    return figure


def _sizes(heads: int, layers: int) -> tuple[bool, tuple[float, float]]:
    """Whether both maps lie one below the other, and the size of the figure."""
    style, down = now(), heads > _BESIDE
    cell = min(style.shrink * _CELL, max(0.3, min((style.most - 1.5) / heads, _TALL / layers)))
    wide, tall = max(2.4, 1.5 + heads * cell), 0.9 + layers * cell
    return down, ((wide, 2 * tall) if down else (2 * wide, tall))


def _map(
    axes: Axes,
    values: Float[ndarray, "layer head"],
    layers: list[int],
    written: Mapping[str, str],
    look: Mapping[str, Any],
) -> None:
    """One map of layers by heads, with a word in every cell."""
    names = [[written.get(f"L{layer}.H{head}", "") for head in range(values.shape[1])] for layer in layers]
    sns.heatmap(values, ax=axes, annot=np.array(names), fmt="", linewidths=0.8, yticklabels=[*map(str, layers)], **look)
    axes.set(xlabel="head", ylabel="layer")
    axes.tick_params(rotation=0)


def agreement_figure(found: TaskHeads) -> Figure:
    """A panel a measure of use: every head by the role map's share of what is asked for, and by the measure."""
    if not found.agreement:
        raise InputError("kind: no measure of use orders these heads; take kind heads")
    with figure_style():
        figure = Drawing(figsize=(0.6 + 2.3 * len(found.agreement), 2.6), layout="constrained")
        head(figure, f"{found.task}: use by share of {', '.join(found.concepts)}", found.model.name)
        panels = figure.subplots(1, len(found.agreement), squeeze=False)[0]
        for axes, each in zip(panels, found.agreement, strict=True):
            values = found.values(each.use)
            for role, (marker, color) in MARKERS.items():
                own = [use for use in found.heads if use.head in values and use.role == role]
                at = [use.asked for use in own], [values[use.head] for use in own]
                axes.scatter(*at, s=16, marker=marker, color=color, edgecolor=INK, linewidth=0.6, label=role)
            axes.set_title(f"rho {each.rho:+.2f}", loc="left", size=8)
            axes.set(xlabel="share in the role map", ylabel=each.use)
            sns.despine(ax=axes)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False)
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
