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
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from headroles.figures.marks import hatch_silent, mark_roles, role_keys
from headroles.figures.page import BARE, Page, foot_height
from headroles.figures.style import INK, figure_of, figure_style, ink_on, now
from headroles.roles.diff import RoleMapDiff
from headroles.roles.role_map import SILENT

_CELL, _LABELS = 0.52, 0.3
"""Inches: a head's largest cell, and what the layers' numbers take."""


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
    look, keys = now(), _keys(found)
    left = _LABELS + look.margin
    cell = min(_CELL, max(0.3, ((look.most if heads > 8 else look.least) - left - look.margin) / heads))
    width, tall = max(look.least, left + heads * cell + look.margin), len(layers) * cell
    with figure_style():
        page = Page(_names(found), _heading(found), width, tall + 0.65 + foot_height(width - left, keys))
        bar = page.foot(left, tall + 0.6, keys)
        _cells(page.axes(left, 0, heads * cell, tall), bar, found, layers, heads)
    return page.figure


def _into(axes: Axes, found: RoleMapDiff) -> Figure:
    """The map in one axes, with keys around it; the colour bar takes its space from them."""
    layers, heads = sorted(found.layers, reverse=True), 1 + max(head.head for head in found.heads)
    with figure_style():
        _cells(axes, None, found, layers, heads)
        axes.set_title(_heading(found), loc="left", weight="bold")
        axes.set_xlabel(f"head\n{_names(found)}")
        axes.legend(handles=_keys(found), ncols=2, loc="upper left", bbox_to_anchor=(0, -0.35), **BARE)
    return figure_of(axes)


def _sides(found: RoleMapDiff, side: int) -> list[_Side]:
    return [_Side(head.roles[side], head.stand_out[side]) for head in found.heads]


def _keys(found: RoleMapDiff) -> list[Artist]:
    frame = Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=INK, linewidth=1.8, label="role changed")
    sides = Line2D([], [], linestyle="none", label="marks: A left, B right")
    return [sides, *role_keys([*_sides(found, 0), *_sides(found, 1)]), frame]


def _names(found: RoleMapDiff) -> str:
    return "\n".join(f"{letter}: {name}" for letter, name in zip("AB", found.names, strict=True))


def _heading(found: RoleMapDiff) -> str:
    return f"{len(found.changed)} of {len(found.heads)} heads change their role; kappa {found.kappa}"


def _cells(axes: Axes, bar: Axes | None, found: RoleMapDiff, layers: list[int], heads: int) -> None:
    """Changes of entropy, both markers of every head, frames, and the colour bar, in `bar` or beside the cells."""
    row = np.array([layers.index(head.layer) for head in found.heads])
    column = np.array([head.head for head in found.heads])
    change = np.full((len(layers), heads), np.nan)
    change[row, column] = [head.entropies[1] - head.entropies[0] for head in found.heads]
    scale: dict[str, Any] = {"ticks": [-1, 0, 1], "label": "entropy: B - A"}
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
