"""Where concepts live: what every layer's heads hold of each of them."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.figures.fitting import shorten
from headroles.figures.page import Page, describe
from headroles.figures.shares import Shares
from headroles.figures.style import GREY, figure_of, figure_style, ink_on, now
from headroles.roles.role_map import RoleMap

_CELL, _NAME = 0.42, 0.9
"""Inches of a layer, and of a concept's name."""


def spread_figure(role_map: RoleMap, ax: Axes | None = None) -> Figure:
    """Rows: concepts. Columns: layers. A cell: the part of what all scored heads hold of the concept that is here.

    A head holds the variance that the concept's texts explain, by labelled images its importance for the concept, and
    in a map with neither its variance times P(concept). At the right: completeness, 1 where one head holds all. With
    `ax` the matrix is drawn into that. Raises InputError where all heads are silent.
    """
    values = layer_parts(role_map)
    if ax is None:
        look, left = now(), now().margin + 1.0
        room = look.least - left - 0.9 - look.margin
        cell = _CELL if look.headed else min(_CELL, max(0.26, room / len(role_map.layers)))
        wide, tall = len(role_map.layers) * cell, len(role_map.concepts) * 1.6 * look.line
        with figure_style():
            width = max(look.least, left + wide + 0.9 + look.margin)
            page = Page(describe(role_map), "Where concepts live", width, tall + 1.2)
            axes = page.axes(left, 0.2, wide, tall)
            bar = page.axes(left, tall + 0.75, min(2.1, width - left - 0.3), 0.13)
            _matrix(axes, bar, role_map, values)
        return page.figure
    with figure_style():
        _matrix(ax, None, role_map, values)
    return figure_of(ax)


def layer_parts(role_map: RoleMap) -> Float[ndarray, "concept layer"]:
    """Of every concept, the part that the heads of each scored layer hold: rows sum to 1, or to 0 where none does."""
    found = Shares.of(role_map)
    held = found.weight[:, None] * found.values
    at = np.array([[head.layer == layer for layer in role_map.layers] for head in found.heads], dtype=float)
    parts = held.T @ at
    whole = parts.sum(1, keepdims=True)
    return np.divide(parts, whole, out=np.zeros_like(parts), where=whole > 0)


def _matrix(axes: Axes, bar: Axes | None, role_map: RoleMap, values: Float[ndarray, "concept layer"]) -> None:
    """Cells with their numbers, completeness, and the colour bar, in `bar` or beside the cells."""
    look: dict[str, Any] = {"cmap": "cividis", "vmin": 0, "vmax": 1, "linewidths": 1}
    scale = {"orientation": "horizontal" if bar else "vertical", "label": "part of the concept"}
    names: dict[str, Any] = {"xticklabels": role_map.layers}
    names["yticklabels"] = [shorten(concept, _NAME) for concept in role_map.concepts]
    sns.heatmap(values, ax=axes, cbar_ax=bar, cbar_kws=scale, **names, **look)
    colors = matplotlib.colormaps["cividis"]
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:.2f}".removeprefix("0")
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", size=6.5, color=ink_on(colors(value)))
    complete = {spread.concept: spread.completeness for spread in role_map.concept_spread}
    if bar is not None and complete:  # Beside other axes there is no room.
        axes.set_title("completeness", loc="left", x=1 + 0.1 / max(1, values.shape[1]), color=GREY, pad=3)
        for row, name in enumerate(role_map.concepts):
            text = "-" if complete.get(name) is None else f"{complete[name]:.2f}"
            axes.text(values.shape[1] + 0.15, row + 0.5, text, va="center", color=GREY)
    axes.set(xlabel="layer")
    axes.tick_params(rotation=0)
