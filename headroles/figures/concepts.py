"""Every head's distribution over concepts as a bar, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from headroles.errors import InputError
from headroles.figures.fitting import text_width
from headroles.figures.marks import (
    SILENT_LOOK,
    ConceptLook,
    concept_keys,
    concept_looks,
    draw_bars,
    mark_roles,
    role_keys,
)
from headroles.figures.page import BARE, Page, describe
from headroles.figures.style import GREY, figure_of, figure_style, inches_wide, ink_on, now
from headroles.roles.role_map import SILENT, HeadRole, RoleMap

_PANEL, _NARROW, _PANELS, _AROUND_BARS, _ENTRY = 3.0, 2.2, 4, 1.0, 1.5
"""Width of a layer's panel in inches, also on paper, panels side by side (more only if there are many), labels of a
bar, a key."""
_TICKS = (0, 0.5, 1), ("0", "P(concept)", "1")


def concepts_figure(role_map: RoleMap, layers: Sequence[int] | None = None, ax: Axes | None = None) -> Figure:
    """Every head's distribution over concepts as a stacked bar, one panel a layer.

    Heads come by entropy, lowest on top, silent ones last, with the role at the left (hollow where a head does not
    stand out from chance) and the normalised entropy at the right; a bar's segments come by share, with the concept's
    code where there is space. `layers`: those to show; None: all. With `ax`
    one layer's panel is drawn into that. Raises InputError for a layer that was not scored, or several and an `ax`.
    """
    layers = sorted(role_map.layers if layers is None else layers)
    if not layers or not set(layers) <= set(role_map.layers):
        raise InputError(f"layers must be among {', '.join(map(str, role_map.layers))}, got {layers or 'none'}")
    if ax is not None:
        return _into(ax, role_map, layers)
    key, roles = concept_looks(role_map.concepts), role_keys(role_map.head_roles)
    look, columns = now(), min(len(layers), max(_PANELS, math.ceil(math.sqrt(len(layers)))))
    least = _PANEL if look.headed else _NARROW
    columns = min(columns, max(1, int((look.most - 2 * look.margin) / least)))
    panel = max(look.least - 2 * look.margin, columns * least) / columns
    tall, length = role_map.model.heads * look.line + 0.45, panel - _AROUND_BARS
    body = math.ceil(len(layers) / columns) * tall + 0.3
    with figure_style():
        width, wide = columns * panel + 2 * look.margin, max(1, int(columns * panel / _ENTRY))
        rows = math.ceil(len(roles) / wide)
        page = Page(describe(role_map), "Concepts of every head", width, body + (rows + 0.4) * look.line, key)
        page.legend(look.margin, body, roles, columns=min(len(roles), wide))
        for place, layer in enumerate(layers):
            row, column = divmod(place, columns)
            heads = _sort(role_map, layer)
            left = look.margin + column * panel + 0.48
            axes = page.axes(left, row * tall + 0.2, length, len(heads) * look.line)
            _concept_bars(axes, heads, key, length)
            axes.set_title(f"layer {layer}", loc="left", weight="bold", pad=3)
            if place + columns >= len(layers):
                axes.set_xticks(*_TICKS)
    return page.figure


def _into(axes: Axes, role_map: RoleMap, layers: Sequence[int]) -> Figure:
    """One layer's bars, with the keys at their right."""
    if len(layers) > 1:
        raise InputError(f"layers: an ax takes one layer, got {', '.join(map(str, layers))}; give one of them")
    key, length = concept_looks(role_map.concepts), inches_wide(axes)
    with figure_style():
        _concept_bars(axes, _sort(role_map, layers[0]), key, length)
        axes.set_title(f"layer {layers[0]}", loc="left", weight="bold", pad=3)
        axes.set_xticks(*_TICKS)
        keys = [*concept_keys(key), *role_keys(role_map.heads(layer=layers[0]))]
        axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1 + 0.5 / length, 1), **BARE)
    return figure_of(axes)


def _sort(role_map: RoleMap, layer: int) -> list[HeadRole]:
    """By entropy, silent ones last."""
    return sorted(role_map.heads(layer=layer), key=lambda head: head.role == SILENT)


def _concept_bars(axes: Axes, heads: Sequence[HeadRole], key: Mapping[str, ConceptLook], length: float) -> None:
    """The bars of one layer; `length` is that of a whole bar."""
    segments: list[tuple[float, float, float, ConceptLook]] = []
    for row, head in enumerate(heads):
        shares = sorted(head.distribution.items(), key=lambda item: (-item[1], item[0]))
        ends = np.cumsum([share for _, share in shares])
        segments += [(row, end - share, share, key[name]) for end, (name, share) in zip(ends, shares, strict=True)]
        if head.role == SILENT:
            segments.append((row, 0, 1, SILENT_LOOK))
        entropy = SILENT if head.role == SILENT else f"{head.entropy:.2f}"
        axes.text(1 + 0.34 / length, row, entropy, ha="right", va="center_baseline", color=GREY)
    segments = [segment for segment in segments if segment[2] > 0]
    draw_bars(axes, segments, 0.86)
    for height, left, share, concept in segments:
        if share * length > text_width(concept.code) + 0.06:
            # Hatch strokes that touch a letter read as accents.
            halo = [withStroke(linewidth=4.5, foreground=concept.color)] if concept.hatch else None
            look: dict[str, Any] = {"color": ink_on(concept.color), "path_effects": halo}
            axes.text(left + share / 2, height, concept.code, ha="center", va="center_baseline", **look)
    rows = range(len(heads))
    mark_roles(axes, heads, np.full(len(heads), -0.09 / length), np.array(rows))
    axes.set(xlim=(0, 1), ylim=(len(heads) - 0.5, -0.5), xticks=[])
    axes.set_title("entropy", loc="right", color=GREY, pad=3, x=1 + 0.34 / length)
    axes.set_yticks(rows, [f"H{head.head}" for head in heads])
    axes.tick_params(axis="y", pad=12)
    sns.despine(ax=axes, left=True, bottom=True)
