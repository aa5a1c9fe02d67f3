"""How far a long loop is, told to whoever shows it: the command line's bar, or that of a call from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from typing import TypeVar

from headroles.images.bars import draw_bar

T = TypeVar("T")
Shower = Callable[[str, "int | None", str], AbstractContextManager[Callable[[int], object]]]
"""From what is done, of how many, in which unit, to a context whose value is called with how many more are over."""
_SHOWER: ContextVar[Shower | None] = ContextVar("shower", default=None)


@contextmanager
def showing(shower: Shower | None) -> Iterator[None]:
    """Show loops that are counted meanwhile."""
    token = _SHOWER.set(shower)
    try:
        yield
    finally:
        _SHOWER.reset(token)


def counted(
    items: Iterable[T],
    label: str,
    total: int | None = None,
    unit: str = "image",
    size: Callable[[T], int] | None = None,
) -> Iterator[T]:
    """The same items; how many are over is shown, where somebody shows it.

    `label`: what is done with them, such as "testing shapes:tiny"; `total`: how many units there are, None where that
    is not known; `size`: units of an item, None for one each.
    """
    with (_SHOWER.get() or _show_bar)(label, total, unit) as over:
        for item in items:
            yield item
            over(1 if size is None else size(item))


@contextmanager
def _show_bar(label: str, total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
    """What a call from Python shows."""
    with closing(draw_bar(label, total, unit)) as bar:
        yield bar.update
