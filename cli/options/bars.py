"""Bars on a terminal: one kind for all that takes long, one at a time, none in a file or a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import click

from headroles.images.counting import showing

_LARGE = ("matplotlib", "pandas", "scipy", "torch")
"""Libraries whose import takes long."""


class Bars:
    """Shows counted loops (`headroles.images.counting`) of the first process; a loop within a loop is not shown."""

    def __init__(self) -> None:
        self.busy = False

    @contextmanager
    def __call__(self, label: str, total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
        """A bar."""
        if self.busy:
            yield _nothing
            return
        self.busy = True
        bar = open_bar(label, total, unit)
        try:
            yield bar.update
        finally:
            bar.close()
            self.busy = False


def open_bar(label: str, total: int | None, unit: str, main: bool = True, **more: Any) -> Any:
    """A bar on stderr, gone when it is closed; off where that is no terminal, or this is not the `main` process."""
    from tqdm import tqdm

    off = None if main and is_first() else True  # None: off where there is no terminal.
    how: Any = {"file": sys.stderr, "leave": False, "dynamic_ncols": True}
    return tqdm(desc=label, total=total, unit=f" {unit}", disable=off, **how, **more)


def say(line: str) -> None:
    """A line on stderr, above a bar that is drawn."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def is_first() -> bool:
    """Whether this process is alone, or the first of several, as launchers say."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def telling_progress() -> Iterator[None]:
    """Meanwhile loops are shown, and the first import that takes seconds is said on a terminal."""
    finder = _Loading()
    sys.meta_path.insert(0, finder)
    try:
        with showing(Bars()):
            yield
    finally:
        sys.meta_path.remove(finder)


class _Loading(MetaPathFinder):
    """Finds nothing; says "loading ..." when the first of the large libraries is looked for."""

    def __init__(self) -> None:
        self.said = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in _LARGE and not self.said and sys.stderr.isatty() and is_first():
            self.said = True
            click.echo("loading ...", err=True)
        return None


def _nothing(over: int) -> None:
    pass
