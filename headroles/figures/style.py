"""The visual language of all figures: font, text colours, colours of concepts and lines, and what notebooks show."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.figures.fonts import font_families, telling_missing

SIZE = 8
"""Points."""
_STYLE = {
    **sns.axes_style("white"),
    "font.family": list(font_families()),
    "font.size": SIZE,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), SIZE),
    "text.parse_math": False,  # a "$" in a probe text is a dollar
    "hatch.linewidth": 0.9,
    "savefig.dpi": 200,
    "svg.hashsalt": "headroles",
    "svg.fonttype": "none",  # text stays text: it can be searched, edited and read aloud
    "pdf.fonttype": 42,
}
UNDATED: Mapping[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Leaves out of the file what changes from day to day."""
COLORS = ("#332288", "#CC6677", "#88CCEE", "#117733", "#DDCC77", "#882255", "#44AA99", "#AA4499")
"""Paul Tol's "muted" colours, which every kind of colour vision can tell apart."""
INK, GREY, _LIGHT = "#222222", "#666666", 0.21
"""Text colours; the luminance from which `INK` stands out more than white."""
_SHOWN_DPI = 100
"""Pixels of an inch in a notebook, half of those that are drawn, for sharp text on dense screens."""


class Drawing(Figure):
    """A Figure outside pyplot, which a notebook shows: a bare Figure is only named there until pyplot is imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, and the size at which to show it."""
        content = io.BytesIO()
        save_figure(self, content, ".png")
        width, height = (round(inches * _SHOWN_DPI) for inches in self.get_size_inches())
        return content.getvalue(), {"width": width, "height": height}


def figure_style() -> AbstractContextManager[None]:
    """Our settings over matplotlib's own, whatever the user has set, and back to those at the end."""
    return matplotlib.style.context(["default", _STYLE])


def save_figure(figure: Figure, target: Any, suffix: str) -> None:
    """Write a figure to a path or open file in the format of `suffix`; the same figure gives the same bytes."""
    with figure_style(), telling_missing():
        figure.savefig(target, format=suffix[1:], metadata=UNDATED[suffix])


def figure_of(axes: Axes) -> Figure:
    """The whole figure in which axes lie."""
    figure = axes.figure
    return figure if isinstance(figure, Figure) else figure.figure


def inches_wide(axes: Axes) -> float:
    """The width of axes as they lie now."""
    return axes.bbox.width / figure_of(axes).dpi


def ink_on(background: Any) -> str:
    """The text colour that can be read on a background."""
    return INK if sns.utils.relative_luminance(background) > _LIGHT else "white"
