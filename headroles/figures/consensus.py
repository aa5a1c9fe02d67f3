"""The picture of a Consensus: layers x heads, coloured by how many maps agree, marked with the role that most give."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.figures.marks import hatch_silent, mark_roles, role_keys
from headroles.figures.page import Page, foot_height
from headroles.figures.style import figure_of, figure_style, ink_on, now
from headroles.roles.consensus import Consensus, letter_of
from headroles.roles.role_map import SILENT

_CELL, _LABELS = 0.52, 0.3
"""Inches: a head's largest cell, and what the layers' numbers take."""


def consensus_figure(found: Consensus, ax: Axes | None = None) -> Figure:
    """A cell's colour is the share of maps that give the role that most give; its marker that role, if over half do.

    Hollow: heads that do not stand out from chance in over half of the maps. Deepest layer on top; heads that were not
    scored in all maps are left empty. With `ax` the map is drawn into that.
    """
    if ax is not None:
        with figure_style():
            _cells(ax, found)
            ax.set_title(_heading(found), loc="left", weight="bold")
        return figure_of(ax)
    layers, heads = len({head.layer for head in found}), 1 + max(head.head for head in found)
    look, keys = now(), role_keys(found.heads)
    left = _LABELS + look.margin
    cell = min(_CELL, max(0.3, ((look.most if heads > 8 else look.least) - left - look.margin) / heads))
    width, tall = max(look.least, left + heads * cell + look.margin), layers * cell
    with figure_style():
        page = Page(_facts(found), _heading(found), width, tall + 0.5 + foot_height(width - left, keys, bar=False))
        _cells(page.axes(left, 0, heads * cell, tall), found)
        page.foot(left, tall + 0.5, keys, bar=False)
    return page.figure


def _heading(found: Consensus) -> str:
    return f"{len(found.names)} role maps agree on the role of {len(found.agreed)} of {len(found.heads)} heads"


def _facts(found: Consensus) -> str:
    names = [f"{letter_of(number)}: {name}" for number, name in enumerate(found.names)]
    pairs = [f"{letter_of(a)}-{letter_of(b)}: kappa {pair.kappa}" for pair in found.pairs for a, b in (pair.maps,)]
    return "\n".join([*names, *pairs, "darker: more maps give that role; no marker: none has over half"])


def _cells(axes: Axes, found: Consensus) -> None:
    layers, heads = sorted({head.layer for head in found}, reverse=True), 1 + max(head.head for head in found)
    row = np.array([layers.index(head.layer) for head in found])
    column = np.array([head.head for head in found])
    share = np.full((len(layers), heads), np.nan)
    share[row, column] = [head.votes / len(found.names) for head in found]
    look: dict[str, Any] = {"cmap": "Blues", "linewidths": 1.2, "cbar": False}
    look |= {"xticklabels": range(heads), "yticklabels": layers}
    sns.heatmap(share, vmin=0, vmax=1.3, ax=axes, **look)
    inks = [ink_on(colormaps["Blues"](share[place] / 1.3)) for place in zip(row, column, strict=True)]
    silent = np.array([head.role == SILENT for head in found])
    hatch_silent(axes, list(zip(column[silent] + 0.05, row[silent] + 0.05, strict=True)), 0.9, 0.9)
    mark_roles(axes, found.heads, column + 0.5, row + 0.5, inks)
    axes.set(xlabel="head", ylabel="layer")
    axes.tick_params(rotation=0)
