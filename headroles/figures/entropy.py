"""The layer x head map of a role map: entropy, dominant concept and role of every head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from headroles.figures.fitting import wrap
from headroles.figures.marks import concept_codes, entropy_label, hatch_silent, mark_roles, role_keys
from headroles.figures.page import BARE, Page, describe, foot_height
from headroles.figures.style import figure_of, figure_style, inches_wide, ink_on, now
from headroles.roles.role_map import SILENT, RoleMap

_CELL, _TALL, _LABELS = (0.35, 0.62), 7.5, 0.3
"""Inches: smallest and largest cell, all rows where cells can be smaller, and what the layers' numbers take."""


def entropy_figure(role_map: RoleMap, ax: Axes | None = None) -> Figure:
    """The layer x head map, deepest layer on top.

    A cell's colour and number are the head's normalised Concept Entropy (colours span what these heads have, 1 and
    more in one colour), its letters the dominant concept (key under the map), the marker in its corner the role: hollow
    where the head does not stand out from chance. Silent heads are hatched. The figure grows with the map; with `ax`
    the map is drawn into that.
    """
    if ax is not None:
        return _into(ax, role_map)
    look, rows, heads = now(), len(role_map.layers), role_map.model.heads
    around = _LABELS + 2 * look.margin
    cell = float(np.clip(min((look.least - around) / heads, _TALL / rows), *_CELL))
    left, width, bottom = _LABELS + look.margin, max(look.least, heads * cell + around), rows * cell
    keys = role_keys(role_map.head_roles)
    with figure_style():
        key = _key(role_map, width - left - look.margin)
        tall = 0.73 + foot_height(width - left, keys)
        body = bottom + tall + len(key) * look.line
        page = Page(describe(role_map), "Concept Entropy and role of every head", width, body)
        _heat_map(page.axes(left, 0, heads * cell, bottom), page.foot(left, bottom + 0.6, keys), role_map)
        page.text(left, bottom + tall, "\n".join(key), linespacing=1.5)
    return page.figure


def _into(axes: Axes, role_map: RoleMap) -> Figure:
    """The map in one axes, with keys around it; the colour bar takes its space from them."""
    keys = role_keys(role_map.head_roles)
    with figure_style():
        _heat_map(axes, None, role_map)
        axes.set_xlabel("\n".join(["head", *_key(role_map, inches_wide(axes))]))
        axes.set_title(role_map.model.name, loc="left", weight="bold", pad=4 + 12 * math.ceil(len(keys) / 3))
        axes.legend(handles=keys, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.01), **BARE)
    return figure_of(axes)


def _key(role_map: RoleMap, width: float) -> list[str]:
    """Lines that say what the letters mean."""
    entries = [f"{code}\N{NO-BREAK SPACE}{concept}" for concept, code in concept_codes(role_map.concepts).items()]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrap(", ".join(entries), width)]


def _heat_map(axes: Axes, bar: Axes | None, role_map: RoleMap) -> None:
    """Cells with their letters and role markers, and the colour bar, in `bar` or beside the cells."""
    layers, heads = sorted(role_map.layers, reverse=True), role_map.model.heads
    codes, colors = concept_codes(role_map.concepts), matplotlib.colormaps["cividis"]
    row, column = np.array([(layers.index(head.layer), head.head) for head in role_map]).T
    entropy, speaks = np.full((len(layers), heads), np.nan), np.array([head.role != SILENT for head in role_map])
    entropy[row, column] = [head.entropy if head.role != SILENT else np.nan for head in role_map]
    low, high = _range([head.entropy for head in role_map if head.role != SILENT])
    norm = Normalize(low, high, clip=True)
    scale: dict[str, Any] = {"ticks": np.linspace(low, high, 3), "label": entropy_label(role_map), "format": "%.3g"}
    scale |= {"orientation": "horizontal" if bar else "vertical", "extend": _beyond(role_map)}
    cells: dict[str, Any] = {"cmap": colors, "linewidths": 1.2, "xticklabels": range(heads), "yticklabels": layers}
    sns.heatmap(entropy, vmin=low, vmax=high, ax=axes, cbar_ax=bar, cbar_kws=scale, **cells)
    hatch_silent(axes, list(zip(column[~speaks], row[~speaks], strict=True)))
    inks = [ink_on(colors(norm(head.entropy))) for head in role_map]
    small = min(1, inches_wide(axes) / heads / _CELL[1] + 0.25)
    for x, y, ink, head in zip(column + 0.5, row + 0.46, inks, role_map, strict=True):
        look: dict[str, Any] = {"ha": "center", "color": ink}
        axes.text(x - 0.06, y, codes.get(head.concept, ""), va="center", size=9 * small, weight="bold", **look)
        if head.role != SILENT:
            number = f"{head.entropy:.2f}".removeprefix("0")
            axes.text(x, y + 0.48, number, va="bottom", size=max(5, 6 * small), **look)
    mark_roles(axes, role_map.head_roles, column + 0.85, row + 0.17, inks, size=4.5 * small)
    axes.set(xlabel="head", ylabel="layer")
    axes.tick_params(rotation=0)


def _range(entropies: Sequence[float]) -> tuple[float, float]:
    """What the colours span: all entropies up to 1, to tenths, at least .2 wide."""
    shown = [min(entropy, 1.0) for entropy in entropies] or [0.0, 1.0]
    low = min(math.floor(10 * min(shown)) / 10, 0.8)
    return low, max(math.ceil(10 * max(shown)) / 10, round(low + 0.2, 1))


def _beyond(role_map: RoleMap) -> str:
    """Whether the colour bar ends in an arrow: some entropies lie above its end."""
    return "max" if any(head.entropy > 1 for head in role_map) else "neither"
