"""Bars of calls from Python: in a terminal or a notebook by default, never in a file or a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headroles.images.bars import draw_bar
from headroles.passes.image_pass import Progress


class Bar:
    """A bar that appears when it is first called with what is done and how much there is."""

    def __init__(self, label: str, unit: str) -> None:
        self.label, self.unit = label, unit
        self._drawn: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Move on."""
        if self._drawn is None:
            self._drawn = draw_bar(self.label, total, self.unit)
        self._drawn.update(done - self._drawn.n)

    def close(self) -> None:
        """Take it away."""
        if self._drawn is not None:
            self._drawn.close()


@contextmanager
def bar_unless(progress: Progress | bool | None, label: str, unit: str = "image") -> Iterator[Progress | None]:
    """What a pass calls with (done, in all): `progress` itself, nothing for False, else a bar meanwhile."""
    if callable(progress) or progress is False:
        yield progress or None
        return
    bar = Bar(label, unit)
    try:
        yield bar
    finally:
        bar.close()
