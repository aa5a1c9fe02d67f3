"""Results as a notebook shows them: pictures, though figures live floors above results, and short tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.checks import near
from headroles.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Shown:
    """A result with `plot`. Its class says where each figure is drawn; the module is imported when it is asked for."""

    figures: ClassVar[Mapping[str, str]]
    """Kind -> "module:function" of a function that takes the result and gives a matplotlib Figure; the default first.

    A name and no import: the one arrow of the house that points up, followed only on a user's call.
    """

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there is something to draw for: what "all" means."""
        return tuple(self.figures)

    def plot(self, kind: str | None = None, *, style: str | None = None, **options: Any) -> Figure:
        """Draw the result as a matplotlib Figure; a notebook shows it, `savefig` writes it.

        `kind`: one of `figures`; None: the first. `style`: "paper" fits a column of text, with the heading in the
        figure's `caption` alone; None: "screen". `options` are those of the figure's own function, such as `ax` where
        one axis will do. Raises InputError for another kind or style.
        """
        kind = next(iter(self.figures)) if kind is None else kind
        if kind not in self.figures:
            raise InputError(f"kind must be one of {', '.join(self.figures)}, got {kind!r}{near(kind, self.figures)}")
        module, _, function = self.figures[kind].partition(":")
        with import_module("headroles.figures.style").styled(style):
            return getattr(import_module(module), function)(self, **options)


def html_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], most: int = 24) -> str:
    """A table for `_repr_html_`: every text escaped, rows from `most` on folded away until they are asked for."""

    def line(tag: str, cells: Sequence[object]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    def table(caption: str, rows: Sequence[Sequence[object]]) -> str:
        body = "".join(line("td", row) for row in rows)
        return f"<table>{caption}<thead>{line('th', columns)}</thead><tbody>{body}</tbody></table>"

    shown = table(f"<caption>{html.escape(caption)}</caption>", rows[:most])
    if len(rows) > most:
        shown += f"<details><summary>and {len(rows) - most} more</summary>{table('', rows[most:])}</details>"
    return shown


def show_p(p: float) -> str:
    """A p-value, or a q-value, as tables print it: never 0."""
    return "< 1e-4" if p < 1e-4 else f"{p:.2g}"
