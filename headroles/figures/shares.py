"""The head x concept matrix of a role map: how much of every head each concept explains, or needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.errors import InputError
from headroles.figures.fitting import shorten
from headroles.figures.marks import mark_roles, role_keys
from headroles.figures.page import BARE, Page, describe, foot_height
from headroles.figures.style import GREY, figure_of, figure_style, ink_on, now
from headroles.roles.role_map import SILENT, HeadRole, RoleMap

_COLUMN = 0.5
"""Inches of a concept."""
_NAME = 0.9
"""Inches of its name."""
_SURE = 0.1
"""Shares from here on are written into their cells."""
_MOST = 96
"""Rows, so that a page of a large model can still be read: the heads with the largest shares."""
_D = "D: disentanglement, 1 where one concept alone needs the head"
"""Beside the column of that name."""


@dataclass(frozen=True)
class Shares:
    """What a role map says of heads and concepts, by the best that it has."""

    heads: tuple[HeadRole, ...]
    """Those that say anything."""
    values: Float[ndarray, "head concept"]
    """Explained share, importance, or, in a map without these, P(concept)."""
    what: str
    """Which of these, in words."""
    weight: Float[ndarray, "head"]
    """What a head counts beside others: its variance; of importances 1."""

    @classmethod
    def of(cls, role_map: RoleMap) -> Shares:
        """InputError where all heads are silent."""
        heads = tuple(head for head in role_map if head.role != SILENT)
        if not heads:
            raise InputError("role map: all of its heads are silent, so none has a share of a concept to draw")
        parts = [head.spread.shares if head.spread else {} for head in heads]
        known = all(parts)
        rows = parts if known else [head.distribution for head in heads]
        by_images = role_map.probe_kind == "image"
        what = "importance of the head for the concept" if by_images else "share of variance that its texts explain"
        return cls(
            heads,
            np.array([[row[concept] for concept in role_map.concepts] for row in rows]),
            what if known else "P(concept)",
            np.array([1.0 if known and by_images else head.variance for head in heads]),
        )


def shares_figure(role_map: RoleMap, ax: Axes | None = None) -> Figure:
    """Rows: heads, by the concept that has most of them. Columns: concepts. At the right: disentanglement.

    A cell's colour is the share of the head's variance in the span of the concept's texts, by labelled images the
    head's importance for the concept, and P(concept) in a map that has neither; from 0.1 on it is written too. Silent
    heads are left out, and of more than 96 heads those with smaller shares. With `ax` the matrix is drawn into that.
    Raises InputError where all heads are silent.
    """
    found = Shares.of(role_map)
    order = np.lexsort((-found.values.max(1), found.values.argmax(1)))
    order = order[np.isin(order, np.argsort(-found.values.max(1), kind="stable")[:_MOST])]
    keys = role_keys([found.heads[row] for row in order])
    if ax is None:
        return _page(role_map, found, order, keys)
    with figure_style():
        _matrix(ax, None, role_map, found, order)
        ax.legend(handles=keys, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.01), **BARE)
    return figure_of(ax)


def _page(role_map: RoleMap, found: Shares, order: np.ndarray, keys: Sequence[Artist]) -> Figure:
    look, left = now(), 0.55 + now().margin
    column = _COLUMN if look.headed else min(_COLUMN, (look.most - left - 0.6) / len(role_map.concepts))
    wide, tall = len(role_map.concepts) * column, len(order) * look.line
    with figure_style():
        heading = "Heads and concepts"
        if len(order) < len(found.heads):
            heading += f": {len(order)} of {len(found.heads)} heads, those with the largest shares"
        width = max(look.least, left + wide + 0.6 + look.margin)
        page = Page(describe(role_map), heading, width, tall + 1.2 + foot_height(width - left, keys))
        axes = page.axes(left, 0.1, wide, tall)
        _matrix(axes, page.foot(left, tall + 1.1, keys), role_map, found, order)
    return page.figure


def _matrix(axes: Axes, bar: Axes | None, role_map: RoleMap, found: Shares, order: np.ndarray) -> None:
    """Cells, numbers, role markers, and the colour bar, in `bar` or beside the cells."""
    values, heads = found.values[order], [found.heads[row] for row in order]
    top = max(float(values.max()), 1e-3)
    look: dict[str, Any] = {"cmap": "cividis", "vmin": 0, "vmax": top, "linewidths": 0.6}
    scale = {"orientation": "horizontal" if bar else "vertical", "label": found.what}
    names: dict[str, Any] = {"yticklabels": [head.name for head in heads]}
    names["xticklabels"] = [shorten(concept, _NAME) for concept in role_map.concepts]
    sns.heatmap(values, ax=axes, cbar_ax=bar, cbar_kws=scale, **names, **look)
    colors = matplotlib.colormaps["cividis"]
    for (row, column), value in np.ndenumerate(values):
        if value >= _SURE:
            ink = ink_on(colors(value / top))
            axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center_baseline", size=6.5, color=ink)
    rows = np.arange(len(heads))
    mark_roles(axes, heads, np.full(len(heads), -0.22), rows + 0.5)
    if bar is not None:  # Beside other axes there is no room.
        _write_disentanglement(axes, heads, values.shape[1] + 0.15)
    axes.tick_params(axis="x", rotation=45)
    axes.tick_params(axis="y", rotation=0, pad=12)


def _write_disentanglement(axes: Axes, heads: Sequence[HeadRole], left: float) -> None:
    """A column "D", explained under it, where the map has that figure of any head."""
    known = {row: head.spread.disentanglement for row, head in enumerate(heads) if head.spread}
    known = {row: apart for row, apart in known.items() if apart is not None}
    for row, apart in known.items():
        axes.text(left, row + 0.5, f"{apart:.2f}", va="center_baseline", color=GREY)
    if known:
        axes.text(left, -0.4, "D", color=GREY)
        axes.text(left + 0.8, len(heads) / 2, _D, rotation=270, va="center", size=6, color=GREY)
