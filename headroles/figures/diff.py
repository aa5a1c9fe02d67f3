"""The picture of a RoleMapDiff: layers x heads, the roles in A and B side by side, changed heads framed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headroles.figures.marks import hatch_silent, mark_roles, role_keys
from headroles.figures.page import BARE
from headroles.figures.style import GREY, INK, Drawing, figure_of, figure_style, ink_on
from headroles.roles.diff import RoleMapDiff
from headroles.roles.role_map import SILENT

_CELL, _MARGIN, _LINE, _LEAST = 0.52, 0.3, 0.19, 5.6
"""Inches."""


@dataclass(frozen=True)
class _Side:
    """A head in one of both maps."""

    role: str
    stands_out: bool


def diff_figure(found: RoleMapDiff, ax: Axes | None = None) -> Figure:
    """A cell's colour is the change of entropy from A to B, its markers are the role in A (left) and in B (right).

    Hollow markers: heads that do not stand out from chance; half cells that are hatched: silent heads. Deepest layer on
    top; heads that were not scored in both are left empty. With `ax` the map is drawn into that.
    """
    if ax is not None:
        return _into(ax, found)
    layers, heads = sorted(found.layers, reverse=True), 1 + max(head.head for head in found.heads)
    width, top = max(_LEAST, heads * _CELL + 4 * _MARGIN), _MARGIN + 4.2 * _LINE
    keys = _keys(found)
    height = top + len(layers) * _CELL + 0.6 + len(keys) * _LINE
    with figure_style():
        figure = Drawing(figsize=(width, height))

        def axes(left: float, down: float, wide: float, tall: float) -> Axes:
            return figure.add_axes((left / width, 1 - (down + tall) / height, wide / width, tall / height))

        figure.text(_MARGIN / width, 1 - _MARGIN / height, _heading(found), va="top", size=11, weight="bold")
        names = "\n".join(f"{letter}: {name}" for letter, name in zip("AB", found.names, strict=True))
        y = 1 - (_MARGIN + 1.3 * _LINE) / height
        figure.text(_MARGIN / width, y, names, va="top", color=GREY, linespacing=1.4)
        foot = top + len(layers) * _CELL
        _cells(
            axes(2 * _MARGIN, top, heads * _CELL, len(layers) * _CELL),
            axes(2 * _MARGIN, foot + 0.6, 2.1, 0.13),
            found,
            layers,
            heads,
        )
        place = (2 * _MARGIN + 2.7) / width, 1 - (foot + 0.5) / height
        figure.legend(handles=keys, loc="upper left", bbox_to_anchor=place, **BARE)
    return figure


def _into(axes: Axes, found: RoleMapDiff) -> Figure:
    """The map in one axes, with keys around it; the colour bar takes its space from them."""
    layers, heads = sorted(found.layers, reverse=True), 1 + max(head.head for head in found.heads)
    with figure_style():
        _cells(axes, None, found, layers, heads)
        axes.set_title(_heading(found), loc="left", weight="bold")
        axes.legend(handles=_keys(found), ncols=2, loc="upper left", bbox_to_anchor=(0, -0.15), **BARE)
    return figure_of(axes)


def _sides(found: RoleMapDiff, side: int) -> list[_Side]:
    return [_Side(head.roles[side], head.stand_out[side]) for head in found.heads]


def _keys(found: RoleMapDiff) -> list[Artist]:
    frame = Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=INK, linewidth=1.8, label="role changed")
    return [*role_keys([*_sides(found, 0), *_sides(found, 1)]), frame]


def _heading(found: RoleMapDiff) -> str:
    return f"{len(found.changed)} of {len(found.heads)} heads change their role; kappa {found.kappa}"


def _cells(axes: Axes, bar: Axes | None, found: RoleMapDiff, layers: list[int], heads: int) -> None:
    """Changes of entropy, both markers of every head, frames, and the colour bar, in `bar` or beside the cells."""
    row = np.array([layers.index(head.layer) for head in found.heads])
    column = np.array([head.head for head in found.heads])
    change = np.full((len(layers), heads), np.nan)
    change[row, column] = [head.entropies[1] - head.entropies[0] for head in found.heads]
    scale: dict[str, Any] = {"ticks": [-1, 0, 1], "label": "entropy in B less that in A"}
    scale["orientation"] = "horizontal" if bar else "vertical"
    cells: dict[str, Any] = {"cmap": "vlag", "linewidths": 1.2, "xticklabels": range(heads), "yticklabels": layers}
    sns.heatmap(change, vmin=-1, vmax=1, ax=axes, cbar_ax=bar, cbar_kws=scale, **cells)
    inks = [ink_on(colormaps["vlag"]((1 + change[at]) / 2)) for at in zip(row, column, strict=True)]
    for side, across in enumerate((0.3, 0.7)):
        heads_there = _sides(found, side)
        silent = np.array([head.role == SILENT for head in heads_there])
        hatch_silent(axes, list(zip(column[silent] + across - 0.25, row[silent] + 0.05, strict=True)), 0.45, 0.9)
        mark_roles(axes, heads_there, column + across, row + 0.5, inks)
    for x, y, head in zip(column, row, found.heads, strict=True):
        if head.changed:
            look: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.8, "zorder": 4, "clip_on": False}
            axes.add_patch(Rectangle((x + 0.04, y + 0.04), 0.92, 0.92, **look))
    axes.set(xlabel="head", ylabel="layer")
    axes.tick_params(rotation=0)
