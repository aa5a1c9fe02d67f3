"""The picture of a ModelDiff: layers x heads, how much of each head a fine-tuning changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.page import head
from headroles.figures.style import GREY, Drawing, figure_of, figure_style, inches_wide, now
from headroles.heads.model_diff import ModelDiff

_CELL, _LEAST = 0.52, 4.6
"""Inches."""
_LONGEST = 30
"""Letters of a model's name."""
QUANTITIES = {
    "change": "change of M, relative",
    "writes": "change of W_V W_O, relative",
    "reads": "change of where it looks, relative",
    "rotation": "turn of the leading directions, degrees",
}
"""Fields of a HeadShift that can be drawn, and what they are called."""


def model_diff_figure(found: ModelDiff, quantity: str = "change", ax: Axes | None = None) -> Figure:
    """A cell's colour and number are what changed of the head, deepest layer on top; unchanged heads are grey.

    `quantity`: one of change (M, what it writes into the embedding), writes (the same in the residual stream), reads
    (where it looks) and rotation. With `ax` the map is drawn into that.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"quantity must be one of {', '.join(QUANTITIES)}, got {quantity!r}")
    layers, heads = 1 + max(head.layer for head in found.heads), 1 + max(head.head for head in found.heads)
    with figure_style():
        if ax is not None:
            _draw(ax, found, quantity, layers, heads)
            ax.set_title(_heading(found), loc="left", weight="bold", pad=18)
            names = " -> ".join(name if len(name) <= _LONGEST else f"...{name[-_LONGEST:]}" for name in found.names)
            ax.text(0, 1.01, names, transform=ax.transAxes, color=GREY, va="bottom").set_in_layout(False)
            return figure_of(ax)
        cell = min(_CELL, max(0.36, (now().most - 1.6) / heads))
        size = max(now().shrink * _LEAST, heads * cell + 1.6), layers * cell + 0.7
        figure = Drawing(figsize=size, layout="constrained", fits=False)
        names = "\n".join(f"{letter}: {name}" for letter, name in zip("AB", found.names, strict=True))
        head(figure, _heading(found), names)
        _draw(figure.add_subplot(), found, quantity, layers, heads)
    return figure


def _heading(found: ModelDiff) -> str:
    return f"{len(found.changed)} of {len(found.heads)} heads changed"


def _draw(axes: Axes, found: ModelDiff, quantity: str, layers: int, heads: int) -> None:
    values = np.zeros((layers, heads))
    for each in found.heads:
        values[layers - 1 - each.layer, each.head] = getattr(each, quantity) or 0.0
    style: dict[str, Any] = {"fmt": ".0f" if quantity == "rotation" else ".2g", "cmap": "rocket_r", "linewidths": 1.2}
    style |= {"vmin": 0, "vmax": values.max() or 1, "cbar_kws": {"label": QUANTITIES[quantity]}}
    style |= {"xticklabels": range(heads), "yticklabels": range(layers - 1, -1, -1)}
    style["annot_kws"] = {"size": min(now().size, 18 * inches_wide(axes) / heads)}
    sns.heatmap(values, ax=axes, annot=True, mask=values <= 1e-7, **style)
    axes.set(xlabel="head", ylabel="layer", facecolor="#f2f2f2")
    axes.tick_params(rotation=0)
