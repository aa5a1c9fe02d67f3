"""A page: a figure with a heading, a line about what was scored, a body laid out in inches, and a key of concepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from headroles.figures.fitting import text_width, wrap
from headroles.figures.marks import ConceptLook, concept_keys
from headroles.figures.style import GREY, SIZE, Drawing
from headroles.roles.role_map import RoleMap

MARGIN, LINE, MIN_WIDTH = 0.3, 0.19, 5.6
"""Inches, as are all lengths of a page."""
BARE: Mapping[str, Any] = {"frameon": False, "borderpad": 0, "borderaxespad": 0}
"""A legend without frame, whose corner is where it is put."""


class Page:
    """A figure with a title, and with a legend under its body if given a concept `key`.

    Places are in inches from the top left corner of the body, which is `body` high.
    """

    def __init__(
        self, role_map: RoleMap, heading: str, width: float, body: float, key: Mapping[str, ConceptLook] | None = None
    ) -> None:
        facts = wrap(f"{role_map.model.name}, {role_map.evidence}", width - 2 * MARGIN)
        entries = concept_keys(key or {})
        columns = _legend_columns(entries, width - 2 * MARGIN)
        self.width, self.top = width, MARGIN + (1.9 + len(facts)) * LINE
        self.height = self.top + body + math.ceil(len(entries) / columns) * LINE + MARGIN
        self.figure = Drawing(figsize=(self.width, self.height))
        self.text(MARGIN, MARGIN - self.top, heading, size=11, weight="bold")
        x, y = self._place(MARGIN, MARGIN + 1.3 * LINE - self.top)
        self.figure.suptitle("\n".join(facts), x=x, y=y, ha="left", va="top", size=SIZE, color=GREY, linespacing=1.4)
        self.legend(MARGIN, body, entries, columns)

    def _place(self, left: float, top: float) -> tuple[float, float]:
        """The same place in fractions of the figure, from its bottom left corner."""
        return left / self.width, 1 - (self.top + top) / self.height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes with their top left corner there."""
        return self.figure.add_axes((*self._place(left, top + height), width / self.width, height / self.height))

    def text(self, left: float, top: float, text: str, **look: Any) -> None:
        """Text with its top left corner there."""
        self.figure.text(*self._place(left, top), text, va="top", **look)

    def legend(self, left: float, top: float, entries: Sequence[Artist], columns: int = 1) -> None:
        """A legend with its top left corner there."""
        place = self._place(left, top)
        self.figure.legend(handles=entries, ncols=columns, loc="upper left", bbox_to_anchor=place, **BARE)


def square(figure: Figure, side: float, left: float, top: float) -> Axes:
    """Axes for an image: a framed square of `side` with its top left corner there, in inches from the figure's."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.6)
    return axes


def _legend_columns(entries: Sequence[Patch], width: float) -> int:
    """How many columns of entries fit into `width`."""
    widest = max((text_width(str(entry.get_label())) for entry in entries), default=0.0)
    return max(1, int(width / (widest + 0.55)))
