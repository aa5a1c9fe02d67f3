"""Bars of calls from Python: in a terminal or a notebook by default, never in a file or a pipe."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headroles.passes.image_pass import Progress
from headroles.passes.processes import is_main

OFF = "TQDM_DISABLE"
"""Variable that, set to 1, turns all bars off."""


class Bar:
    """A bar that appears when it is first called with what is done and how much there is."""

    def __init__(self, label: str, unit: str) -> None:
        self.label, self.unit = label, unit
        self._drawn: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Move on."""
        if self._drawn is None:
            self._drawn = _draw(self.label, total, self.unit)
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


def _draw(label: str, total: int | None, unit: str) -> Any:
    """Gone when it is closed; None as `disable` is tqdm's word for "unless this is a terminal"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of notebooks without widgets, where the bar is text
        from tqdm.auto import tqdm
    off = True if not is_main() or os.environ.get(OFF, "0") not in ("", "0") else None
    if off is None and _in_notebook():
        off = False
    return tqdm(desc=label, total=total, unit=unit, disable=off, leave=False)


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    shell = sys.modules.get("IPython")
    return shell is not None and "IPKernelApp" in getattr(shell.get_ipython(), "config", ())
