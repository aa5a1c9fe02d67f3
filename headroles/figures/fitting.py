"""Text that fits a width, measured with the font of all figures."""

from __future__ import annotations

import textwrap
import warnings
from bisect import bisect
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from headroles.figures.fonts import font_families
from headroles.figures.style import now


def text_width(text: str) -> float:
    """Inches, in the style of now."""
    return _width(text, now().size)


@cache
def _width(text: str, size: float) -> float:
    font = FontProperties(family=list(font_families()), size=size)
    with warnings.catch_warnings(action="ignore"):  # of missing glyphs, which `save_figure` tells of
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def wrap(text: str, width: float) -> list[str]:
    """Lines that fit into `width`."""
    characters = len(text) * width / text_width(text)
    return textwrap.wrap(text, max(1, int(0.93 * characters)))


def shorten(text: str, width: float) -> str:
    """The text, or as much of its beginning as fits into `width`, with "…"."""
    if text_width(text) <= width:
        return text
    kept = bisect(range(1, len(text)), width, key=lambda end: text_width(text[:end] + "…"))
    return text[:kept].rstrip() + "…"
