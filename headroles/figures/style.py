"""The visual language of all figures: font, text colours, colours of concepts and lines, and what notebooks show."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.style
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.fonts import font_families, telling_missing


@dataclass(frozen=True)
class Style:
    """What a figure is made for; lengths in inches."""

    size: float
    """Points of its text."""
    line: float
    """From one line of text to the next."""
    margin: float
    """Around a page."""
    least: float
    """Width of the narrowest page."""
    most: float
    """Width of the widest that is laid out for this style: a few pages of many layers are wider."""
    headed: bool
    """Whether a heading stands on the figure; else it is the figure's `caption` alone."""

    def fit(self, width: float, height: float) -> tuple[float, float]:
        """The size of a figure that fills whatever size it gets, from that for a screen: a column's width, or more."""
        if self.headed:
            return width, height
        wide = self.shrink * width
        wide = self.least if wide <= 1.6 * self.least else min(wide, self.most)
        return wide, height * max(wide / width, 0.75)

    @property
    def shrink(self) -> float:
        """A length here for one on a screen, whose text is larger."""
        return self.size / STYLES["screen"].size


STYLES: Mapping[str, Style] = {
    "screen": Style(size=8, line=0.19, margin=0.3, least=5.6, most=16, headed=True),
    "paper": Style(size=7, line=0.165, margin=0.06, least=3.25, most=6.75, headed=False),
}
"""Name -> style. Of papers: one column, or the width of two; text of 7 points; the heading is for the caption."""
_NOW: ContextVar[Style] = ContextVar("style", default=STYLES["screen"])
_STYLE = {
    **sns.axes_style("white"),
    "font.family": list(font_families()),
    "text.parse_math": False,  # a "$" in a probe text is a dollar
    "hatch.linewidth": 0.9,
    "savefig.dpi": 200,
    "svg.hashsalt": "headroles",
    "svg.fonttype": "none",  # text stays text: it can be searched, edited and read aloud
    "pdf.fonttype": 42,
}
_SIZES = (
    "font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
    "figure.titlesize",
)  # fmt: skip
UNDATED: Mapping[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Leaves out of the file what changes from day to day."""
COLORS = ("#332288", "#CC6677", "#88CCEE", "#117733", "#DDCC77", "#882255", "#44AA99", "#AA4499")
"""Paul Tol's "muted" colours, which every kind of colour vision can tell apart."""
LINES = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
"""His "bright" ones, of lines that are no concepts."""
INK, GREY, _LIGHT = "#222222", "#666666", 0.21
"""Text colours; the luminance from which `INK` stands out more than white."""
_SHOWN_DPI = 100
"""Pixels of an inch in a notebook, half of those that are drawn, for sharp text on dense screens."""


class Drawing(Figure):
    """A Figure outside pyplot, which a notebook shows: a bare Figure is only named there until pyplot is imported."""

    caption: str = ""
    """Heading and facts in one line, also where the style leaves them off the figure."""

    def __init__(
        self, *, figsize: tuple[float, float], layout: Literal["constrained"] | None = None, fits: bool = True
    ) -> None:
        """With a `layout` the figure fills whatever size the style gives it, where that `fits` what is drawn."""
        super().__init__(figsize=now().fit(*figsize) if layout and fits else figsize, layout=layout)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, and the size at which to show it."""
        content = io.BytesIO()
        save_figure(self, content, ".png")
        width, height = (round(inches * _SHOWN_DPI) for inches in self.get_size_inches())
        return content.getvalue(), {"width": width, "height": height}


def now() -> Style:
    """The style in which figures are drawn now."""
    return _NOW.get()


@contextmanager
def styled(name: str | None) -> Iterator[None]:
    """Figures are drawn in this style meanwhile; None: as before. InputError for one that is not in `STYLES`."""
    if name not in (None, *STYLES):
        raise InputError(f"style must be one of {', '.join(STYLES)}, got {name!r}")
    token = _NOW.set(now() if name is None else STYLES[name])
    try:
        yield
    finally:
        _NOW.reset(token)


def figure_style() -> AbstractContextManager[None]:
    """Our settings over matplotlib's own, whatever the user has set, and back to those at the end."""
    return matplotlib.style.context(["default", {**_STYLE, **dict.fromkeys(_SIZES, now().size)}])


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
