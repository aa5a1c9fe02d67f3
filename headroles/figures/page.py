"""A page: a figure with a heading, a line about what was scored, a body laid out in inches, and a key of concepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.figures.fitting import text_width, wrap
from headroles.figures.marks import ConceptLook, concept_keys
from headroles.figures.style import GREY, Drawing, now
from headroles.roles.role_map import RoleMap

HEADING, _HEAD = 11, 0.25
"""Points of a heading, and inches of its line."""
BARE: Mapping[str, Any] = {"frameon": False, "borderpad": 0, "borderaxespad": 0}
"""A legend without frame, whose corner is where it is put."""


class Page:
    """A figure with a heading, and with a legend under its body if given a concept `key`.

    Places are in inches from the top left corner of the body, which is `body` high.
    """

    def __init__(
        self, facts: str, heading: str, width: float, body: float, key: Mapping[str, ConceptLook] | None = None
    ) -> None:
        margin, line = now().margin, now().line
        self.width = width
        entries = concept_keys(key or {})
        columns = _legend_columns(entries, width - 2 * margin)
        self.top = _head_height(facts, heading, width)
        self.height = self.top + body + math.ceil(len(entries) / columns) * line + margin
        self.figure = Drawing(figsize=(self.width, self.height))
        head(self.figure, heading, facts)
        if entries:
            self.legend(margin, body, entries, columns)

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

    def foot(self, left: float, top: float, keys: Sequence[Artist], bar: bool = True) -> Axes | None:
        """Axes for a colour bar there, and a legend of `keys` beside it, or below it where the page is narrow."""
        beside, wide = _beside(self.width - left, keys, bar)
        columns = 1 if beside else _legend_columns(keys, self.width - left)
        at = (left + wide + 0.3, top - 0.03) if beside else (left, top + (0.55 if bar else 0))
        self.legend(*at, keys, columns)
        return self.axes(left, top, wide, 0.13) if bar else None


def foot_height(width: float, keys: Sequence[Artist], bar: bool = True) -> float:
    """Inches that `Page.foot` takes where this width is left for it."""
    beside, _ = _beside(width, keys, bar)
    if beside:
        return max(0.5, len(keys) * now().line)
    return 0.55 * bar + math.ceil(len(keys) / _legend_columns(keys, width)) * now().line


def _beside(width: float, keys: Sequence[Artist], bar: bool) -> tuple[bool, float]:
    """Whether keys fit beside a colour bar, and how wide that is."""
    room = width - _widest(keys) - 0.3 - now().margin
    return bar and room > 1.2, min(2.1, room if room > 1.2 else 0.8 * width)


def describe(role_map: RoleMap) -> str:
    """What was scored, on what, for the line below a heading."""
    return f"{role_map.model.name}, {role_map.evidence}"


def head(figure: Drawing, heading: str, facts: str = "") -> None:
    """A bold heading at the top left of a figure and, line by line, facts in grey under it; both are its caption.

    A figure with a layout grows by the room that both take. A style without headings writes none.
    """
    figure.caption = "; ".join([heading, *facts.splitlines()])
    if not now().headed:
        return
    width, room = figure.get_size_inches()[0], _head_height(facts, heading, figure.get_size_inches()[0])
    engine = figure.get_layout_engine()
    if engine is not None:
        figure.set_size_inches(width, figure.get_size_inches()[1] + room)
        engine.set(rect=(0, 0, 1, 1 - room / figure.get_size_inches()[1]))  # type: ignore[call-arg]
    x, margin, height = now().margin / width, now().margin, figure.get_size_inches()[1]
    bold, grey = _head_lines(facts, heading, width)
    figure.text(x, 1 - margin / height, "\n".join(bold), va="top", size=HEADING, weight="bold")
    below, look = 1 - (margin + _HEAD * len(bold)) / height, {"color": GREY, "linespacing": 1.4}
    figure.suptitle("\n".join(grey), x=x, y=below, ha="left", va="top", size=now().size, **look).set_in_layout(False)


def _head_lines(facts: str, heading: str, width: float) -> tuple[list[str], list[str]]:
    """Heading and facts in lines that fit a figure of this width."""
    room = width - 2 * now().margin
    bold = wrap(heading, room * now().size / HEADING / 1.12)  # bold is wider
    return bold, [line for fact in facts.splitlines() for line in wrap(fact, room)]


def _head_height(facts: str, heading: str, width: float) -> float:
    """Inches above the body."""
    if not now().headed:
        return now().margin
    bold, grey = _head_lines(facts, heading, width)
    return now().margin + _HEAD * len(bold) + (0.5 + len(grey)) * now().line


def square(figure: Figure, side: float, left: float, top: float) -> Axes:
    """Axes for an image: a framed square of `side` with its top left corner there, in inches from the figure's."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, 1 - (top + side) / height, side / width, side / height))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.6)
    return axes


def _legend_columns(entries: Sequence[Artist], width: float) -> int:
    """How many columns of entries fit into `width`."""
    return max(1, int(width / _widest(entries)))


def _widest(entries: Sequence[Artist]) -> float:
    """Inches of the widest entry of a legend."""
    return max((text_width(str(entry.get_label())) for entry in entries), default=0.0) + 0.55
