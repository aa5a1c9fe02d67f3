"""Figures of a RoleMap: the layer x head map, every head's concepts, and the texts of chosen heads.

One visual language throughout: a concept has a code of one or two letters and a fill (colour, and hatch from the
ninth concept on), a role has a marker. Figures are plain `matplotlib.figure.Figure` objects, outside pyplot.
"""

from __future__ import annotations

import math
import os
import textwrap
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib.style
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.textpath import text_to_path
from numpy import ndarray

from headroles.errors import InputError
from headroles.files.whole import replacing
from headroles.roles.role_map import HeadRole, RoleMap

T = TypeVar("T")
KINDS = ("entropy", "concepts", "texts")
"""The figures that `plot` can write."""
SUFFIXES = (".png", ".svg", ".pdf")
"""The file formats that `plot` can write."""

_FONT, _SIZE = "DejaVu Sans", 8
"""Ships with matplotlib, so layout and bytes are the same on every machine; points."""
_STYLE = {
    **sns.axes_style("white"),
    "font.family": _FONT,
    "font.size": _SIZE,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), _SIZE),
    "text.parse_math": False,  # a "$" in a probe text is a dollar
    "hatch.linewidth": 0.9,
    "savefig.dpi": 200,
    "svg.hashsalt": "headroles",
    "pdf.fonttype": 42,
}
_UNDATED = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Leaves out of the file what changes from day to day."""

MARKERS = {"attribute": ("^", "#D55E00"), "mixed": ("D", "#FFFFFF"), "generalization": ("o", "#56B4E9")}
"""Shape and Okabe-Ito colour of every role."""
COLORS = ("#332288", "#CC6677", "#88CCEE", "#117733", "#DDCC77", "#882255", "#44AA99", "#AA4499")
"""Paul Tol's "muted" colours, which every kind of colour vision can tell apart."""
_HATCHES = ("", "/////", ".....", "xxxxx")
_MARKER = 4.5
"""Points."""
INK, GREY, _LIGHT = "#222222", "#666666", 0.21
"""Text colours; the luminance from which `INK` stands out more than white."""

_MARGIN, _LINE, _MIN_WIDTH = 0.3, 0.19, 5.6
"""Inches, as are all lengths of a page."""
_CELL = (0.42, 0.62)
"""Smallest and largest cell of the entropy map."""
_PANEL, _PANELS, _AROUND_BARS = 3.0, 4, 1.0
"""Concept bars: width of a layer's panel, panels side by side (more only if there are many), labels of a bar."""
_CARD, _CARDS_WIDE, _CARDS, _CARD_TEXTS = 3.8, 3, 9, 8
"""Text cards: width, cards side by side, cards if no heads are chosen, texts on one."""
_CARD_HEADINGS = {"text": "Texts that span the heads' outputs", "image": "Values that the heads set apart"}


class _Concept(NamedTuple):
    """How a concept looks."""

    name: str
    code: str
    color: str
    hatch: str


def concept_codes(concepts: Sequence[str]) -> dict[str, str]:
    """A short, unique code for every concept, in the given order.

    The first concept with an initial gets that letter ("C" for color). Later ones add the first letter of theirs
    with which the code does not also begin another concept ("Cu" for count, as "Co" begins color), or else a number.
    """
    codes: dict[str, str] = {}
    for concept in concepts:
        letters = [letter for letter in concept if letter.isalnum()] or ["x"]
        initial = letters[0].upper()
        misleading = {other[:2].lower() for other in concepts if other != concept}
        pairs = [initial + letter.lower() for letter in letters[1:]]
        clear = [pair for pair in pairs if pair.lower() not in misleading]
        candidates = chain([initial], clear, (f"{initial}{number}" for number in count(2)))
        codes[concept] = next(code for code in candidates if code not in codes.values())
    return codes


def entropy_figure(role_map: RoleMap) -> Figure:
    """The layer x head map, deepest layer on top.

    A cell's colour is the head's normalised Concept Entropy, its letters the dominant concept (key under the map),
    the marker in its corner the role. The figure grows with the map.
    """
    rows, heads = len(role_map.layers), role_map.model.heads
    cell = float(np.clip((_MIN_WIDTH - 3 * _MARGIN) / heads, *_CELL))
    left, width, bottom = 2 * _MARGIN, max(_MIN_WIDTH, heads * cell + 3 * _MARGIN), rows * cell
    entries = [f"{code}\N{NO-BREAK SPACE}{concept}" for concept, code in concept_codes(role_map.concepts).items()]
    key = _wrap(", ".join(entries), width - left - _MARGIN)
    with figure_style():
        page = _Page(role_map, "Concept Entropy and role of every head", width, bottom + 1.3 + len(key) * _LINE)
        bar = page.axes(left, bottom + 0.6, 2.1, 0.13)
        _heat_map(page.axes(left, 0, heads * cell, bottom), bar, role_map)
        page.legend(left + 2.6, bottom + 0.57, role_keys())
        page.text(left, bottom + 1.3, "\n".join(key).replace("\N{NO-BREAK SPACE}", " "), linespacing=1.5)
    return page.figure


def _heat_map(axes: Axes, bar: Axes, role_map: RoleMap) -> None:
    """Cells with their letters and role markers, and the colour bar."""
    layers, heads = sorted(role_map.layers, reverse=True), role_map.model.heads
    codes, colors = concept_codes(role_map.concepts), matplotlib.colormaps["cividis"]
    row, column = np.array([(layers.index(head.layer), head.head) for head in role_map]).T
    entropy = np.full((len(layers), heads), np.nan)
    entropy[row, column] = [head.entropy for head in role_map]
    scale = {"orientation": "horizontal", "ticks": [0, 0.25, 0.5, 0.75, 1], "label": "Concept Entropy / log2 C"}
    cells = {"cmap": colors, "linewidths": 1.2, "xticklabels": range(heads), "yticklabels": layers}
    sns.heatmap(entropy, vmin=0, vmax=1, ax=axes, cbar_ax=bar, cbar_kws=scale, **cells)
    for x, y, head in zip(column + 0.5, row + 0.5, role_map, strict=True):
        look = {"color": _text_color(colors(head.entropy)), "size": 9, "weight": "bold"}
        axes.text(x, y, codes[head.concept], ha="center", va="center", **look)
    mark_roles(axes, role_map.head_roles, column + 0.84, row + 0.18)
    axes.set(xlabel="head", ylabel="layer")
    axes.tick_params(rotation=0)


def concepts_figure(role_map: RoleMap) -> Figure:
    """Every head's distribution over concepts as a stacked bar, one panel a layer.

    Heads come by entropy, lowest on top, with the role at the left and the normalised entropy at the right; a bar's
    segments come by share, with the concept's code where there is space.
    """
    layers, key = sorted(role_map.layers), _concept_key(role_map.concepts)
    columns = min(len(layers), max(_PANELS, math.ceil(math.sqrt(len(layers)))))
    panel = max(_MIN_WIDTH - 2 * _MARGIN, columns * _PANEL) / columns
    tall, length = role_map.model.heads * _LINE + 0.45, panel - _AROUND_BARS
    body = math.ceil(len(layers) / columns) * tall + 0.3
    with figure_style():
        page = _Page(role_map, "Concepts of every head", columns * panel + 2 * _MARGIN, body + 1.4 * _LINE, key)
        page.legend(_MARGIN, body, role_keys(), columns=3)
        for place, layer in enumerate(layers):
            row, column = divmod(place, columns)
            heads = role_map.heads(layer=layer)
            left = _MARGIN + column * panel + 0.48
            axes = page.axes(left, row * tall + 0.2, length, len(heads) * _LINE)
            _concept_bars(axes, heads, key, length)
            axes.set_title(f"layer {layer}", loc="left", weight="bold", pad=3)
            if place + columns >= len(layers):
                axes.set_xticks([0, 0.5, 1], ["0", "P(concept)", "1"])
    return page.figure


def _concept_bars(axes: Axes, heads: Sequence[HeadRole], key: Mapping[str, _Concept], length: float) -> None:
    """The bars of one layer; `length` is that of a whole bar."""
    segments = []
    for row, head in enumerate(heads):
        shares = sorted(head.distribution.items(), key=lambda item: (-item[1], item[0]))
        ends = np.cumsum([share for _, share in shares])
        segments += [(row, end - share, share, key[name]) for end, (name, share) in zip(ends, shares, strict=True)]
        axes.text(1 + 0.34 / length, row, f"{head.entropy:.2f}", ha="right", va="center_baseline", color=GREY)
    segments = [segment for segment in segments if segment[2] > 0]
    _bars(axes, segments, 0.86)
    for row, left, share, concept in segments:
        if share * length > _text_width(concept.code) + 0.06:
            # Hatch strokes that touch a letter read as accents.
            halo = [withStroke(linewidth=4.5, foreground=concept.color)] if concept.hatch else None
            look = {"color": _text_color(concept.color), "path_effects": halo}
            axes.text(left + share / 2, row, concept.code, ha="center", va="center_baseline", **look)
    rows = range(len(heads))
    mark_roles(axes, heads, np.full(len(heads), -0.09 / length), np.array(rows))
    axes.set(xlim=(0, 1), ylim=(len(heads) - 0.5, -0.5), xticks=[])
    axes.set_title("entropy", loc="right", color=GREY, pad=3, x=1 + 0.34 / length)
    axes.set_yticks(rows, [f"H{head.head}" for head in heads])
    axes.tick_params(axis="y", pad=12)
    sns.despine(ax=axes, left=True, bottom=True)


def texts_figure(role_map: RoleMap, heads: Sequence[str] | None = None) -> Figure:
    """The first 8 texts (image probes: values) of chosen heads with their shares of its variance; one card a head.

    `heads`: names such as "L7.H3", in the order to show; without them, the lowest-entropy head of every dominant
    concept, at most 9. A name that was not scored raises `InputError`.
    """
    chosen = _chosen_heads(role_map, heads)
    texts = [picked for head in chosen for picked in head.texts[:_CARD_TEXTS]]
    shown = {head.concept for head in chosen} | {picked.concept for picked in texts}
    key = {name: look for name, look in _concept_key(role_map.concepts).items() if name in shown}
    longest = max((picked.share for picked in texts), default=0.0) or 1.0
    columns = min(len(chosen), _CARDS_WIDE)
    lines = 3.6 + max(min(len(head.texts), _CARD_TEXTS) for head in chosen)
    width, body = columns * (_CARD + _MARGIN) + _MARGIN, math.ceil(len(chosen) / columns) * lines * _LINE
    with figure_style():
        page = _Page(role_map, _CARD_HEADINGS[role_map.probe_kind], width, body, key)
        for place, head in enumerate(chosen):
            row, column = divmod(place, columns)
            axes = page.axes(_MARGIN + column * (_CARD + _MARGIN), row * lines * _LINE, _CARD, lines * _LINE)
            axes.set(xlim=(0, _CARD), ylim=(lines, 0))
            _card(axes, head, key, longest)
    return page.figure


def _card(axes: Axes, head: HeadRole, key: Mapping[str, _Concept], longest: float) -> None:
    """Head, role, entropy and concept, then the texts; x in inches, y in lines; `longest` fills a bar's place."""

    def write(x: float, line: float, text: str, **look: Any) -> None:
        axes.text(x, line, text, va="center_baseline", **look)

    right, start, length = {"ha": "right", "color": GREY}, _CARD - 1.15, 0.7
    write(0, 0.4, head.name, size=10, weight="bold")
    mark_roles(axes, [head], np.array([0.95]), np.array([0.4]))
    write(1.05, 0.4, head.role)
    write(_CARD, 0.4, f"entropy {head.entropy:.2f}", **right)
    write(0, 1.5, f"{key[head.concept].code}  {head.concept} ({head.concept_share:.0%})", weight="bold")
    axes.axhline(2.1, color=GREY, linewidth=0.6)
    texts = list(enumerate(head.texts[:_CARD_TEXTS], start=3))
    for line, picked in texts:
        write(0, line, shorten(picked.text, start - 0.32))
        write(start - 0.06, line, key[picked.concept].code, **right)
        write(_CARD, line, f"{picked.share:.1%}", **right)
    _bars(axes, [(line, start, each.share / longest * length, key[each.concept]) for line, each in texts], 0.65)
    axes.set_axis_off()


def _chosen_heads(role_map: RoleMap, names: Sequence[str] | None) -> list[HeadRole]:
    """The heads of `names`, or the default ones."""
    if names is None:
        purest: dict[str, HeadRole] = {}
        for head in role_map.heads():
            purest.setdefault(head.concept, head)
        return list(purest.values())[:_CARDS]
    scored = {head.name: head for head in role_map}
    names = [names] if isinstance(names, str) else names
    unknown = [name for name in names if name not in scored]
    if unknown or not names:
        raise InputError(
            f"heads must be names L<layer>.H<head> with layer one of {', '.join(map(str, role_map.layers))} and head "
            f"one of 0-{role_map.model.heads - 1}, got {repr(unknown[0]) if unknown else 'none'}"
        )
    return [scored[name] for name in names]


def plot(role_map: RoleMap, kind: str, path: str | os.PathLike, heads: Sequence[str] | None = None) -> list[Path]:
    """Write the figure of `kind` to `path` (.png, .svg or .pdf) and return the files written.

    `kind` is "entropy", "concepts", "texts", or "all" for one file each, with the kind before the suffix
    (roles.png -> roles-entropy.png, ...). `heads` chooses the heads of "texts". The same map gives the same bytes;
    an existing file is replaced in one step; missing folders are made. Any other kind or suffix, heads that were
    not scored, and heads for a figure that shows all of them raise `InputError`.
    """
    path = Path(path)
    if kind not in (*KINDS, "all"):
        raise InputError(f"kind must be one of {', '.join(KINDS)}, all, got {kind!r}")
    check_suffix(path)
    if heads is not None and kind in ("entropy", "concepts"):
        raise InputError(f"heads can be chosen for texts only, got kind {kind!r}, which shows every head")
    draw = {"entropy": entropy_figure, "concepts": concepts_figure, "texts": lambda of: texts_figure(of, heads)}
    return write_kinds(draw, role_map, kind, path)


def write_kinds(draw: Mapping[str, Callable[[T], Figure]], of: T, kind: str, path: Path) -> list[Path]:
    """Write the figure of `kind` to `path`, or, for "all", every one with its kind in the name; all are drawn first."""
    kinds = list(draw) if kind == "all" else [kind]
    paths = [path.with_stem(f"{path.stem}-{each}") for each in kinds] if kind == "all" else [path]
    figures = [draw[each](of) for each in kinds]
    for figure, target in zip(figures, paths, strict=True):
        write_figure(figure, target)
    return paths


def check_suffix(path: Path) -> None:
    """InputError where `path` is no file that `write_figure` can write."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"figure file must end in {', '.join(SUFFIXES)}, got {path.name!r}")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in one step; the same figure gives the same bytes."""
    suffix = path.suffix.lower()
    with replacing(path) as partial, figure_style():
        figure.savefig(partial, format=suffix[1:], metadata=_UNDATED[suffix])


def figure_style() -> AbstractContextManager[None]:
    """Our settings over matplotlib's own, whatever the user has set, and back to those at the end."""
    return matplotlib.style.context(["default", _STYLE])


class _Page:
    """A figure with a title, and with a legend under its body if given a concept `key`.

    Places are in inches from the top left corner of the body, which is `body` high.
    """

    def __init__(
        self, role_map: RoleMap, heading: str, width: float, body: float, key: Mapping[str, _Concept] | None = None
    ) -> None:
        images = f"{role_map.images.count:,} images ({role_map.images.source})"
        facts = _wrap(f"{role_map.model.name}, {images}, {role_map.probes}", width - 2 * _MARGIN)
        entries = [Patch(label=f"{each.code}  {each.name}", **_fill(each)) for each in (key or {}).values()]
        columns = _legend_columns(entries, width - 2 * _MARGIN)
        self.width, self.top = width, _MARGIN + (1.9 + len(facts)) * _LINE
        self.height = self.top + body + math.ceil(len(entries) / columns) * _LINE + _MARGIN
        self.figure = Figure(figsize=(self.width, self.height))
        self.text(_MARGIN, _MARGIN - self.top, heading, size=11, weight="bold")
        x, y = self._place(_MARGIN, _MARGIN + 1.3 * _LINE - self.top)
        self.figure.suptitle("\n".join(facts), x=x, y=y, ha="left", va="top", size=_SIZE, color=GREY, linespacing=1.4)
        self.legend(_MARGIN, body, entries, columns)

    def _place(self, left: float, top: float) -> tuple[float, float]:
        return left / self.width, 1 - (self.top + top) / self.height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes with their top left corner there."""
        return self.figure.add_axes((*self._place(left, top + height), width / self.width, height / self.height))

    def text(self, left: float, top: float, text: str, **look: Any) -> None:
        """Text with its top left corner there."""
        self.figure.text(*self._place(left, top), text, va="top", **look)

    def legend(self, left: float, top: float, entries: Sequence[Any], columns: int = 1) -> None:
        """A legend with its top left corner there."""
        look = {"frameon": False, "borderpad": 0, "borderaxespad": 0}
        place = {"loc": "upper left", "bbox_to_anchor": self._place(left, top)}
        self.figure.legend(handles=entries, ncols=columns, **place, **look)


def _concept_key(concepts: Sequence[str]) -> dict[str, _Concept]:
    """The look of every concept of a bank, the same in all figures."""
    fills = [(color, hatch) for hatch in _HATCHES for color in COLORS]
    codes = enumerate(concept_codes(concepts).items())
    return {name: _Concept(name, code, *fills[number % len(fills)]) for number, (name, code) in codes}


def _fill(concept: _Concept) -> dict[str, Any]:
    return {"facecolor": concept.color, "hatch": concept.hatch, "edgecolor": "white", "linewidth": 0.6}


def _bars(axes: Axes, bars: Sequence[tuple[float, float, float, _Concept]], height: float) -> None:
    """Horizontal bars (y, left, length, concept)."""
    up = np.array([-height / 2, height / 2, height / 2, -height / 2])
    for concept in dict.fromkeys(bar[3] for bar in bars):
        own = [(y, left, left + length) for y, left, length, each in bars if each == concept]
        corners = [np.column_stack([[left, left, right, right], y + up]) for y, left, right in own]
        axes.add_collection(PolyCollection(corners, snap=True, **_fill(concept)), autolim=False)


def mark_roles(axes: Axes, heads: Sequence[HeadRole], x: ndarray, y: ndarray) -> None:
    """The role markers of heads at data coordinates, which may lie outside the axes."""
    roles = np.array([head.role for head in heads])
    for role, (shape, color) in MARKERS.items():
        place = x[roles == role], y[roles == role]
        look = {"color": color, "edgecolor": INK, "linewidth": 0.6, "zorder": 3, "clip_on": False}
        axes.scatter(*place, s=_MARKER**2, marker=shape, **look)


def role_keys() -> list[Line2D]:
    """Legend entries of the roles."""
    look = {"linestyle": "none", "markersize": _MARKER, "markeredgecolor": INK, "markeredgewidth": 0.6}
    return [Line2D([], [], marker=shape, color=color, label=role, **look) for role, (shape, color) in MARKERS.items()]


def _text_color(background: Any) -> str:
    return INK if sns.utils.relative_luminance(background) > _LIGHT else "white"


def _legend_columns(entries: Sequence[Patch], width: float) -> int:
    """How many columns of entries fit into `width`."""
    widest = max((_text_width(entry.get_label()) for entry in entries), default=0.0)
    return max(1, int(width / (widest + 0.55)))


@cache
def _text_width(text: str) -> float:
    """Inches."""
    font = FontProperties(family=_FONT, size=_SIZE)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _wrap(text: str, width: float) -> list[str]:
    """Lines that fit into `width`."""
    characters = len(text) * width / _text_width(text)
    return textwrap.wrap(text, max(1, int(0.93 * characters)))


def shorten(text: str, width: float) -> str:
    """The text, or as much of its beginning as fits into `width`, with "…"."""
    if _text_width(text) <= width:
        return text
    kept = bisect(range(1, len(text)), width, key=lambda end: _text_width(text[:end] + "…"))
    return text[:kept].rstrip() + "…"
