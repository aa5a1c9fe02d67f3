"""run.yaml: what a run was asked for, as the command line was given it, beside its results; it makes the run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from headroles.errors import InputError
from headroles.files.whole import write_text

RUN = "run.yaml"
"""Its name in a run's output folder."""
MARK = "# Written by headroles "
"""What our own begin with."""
_asked: ContextVar[str | None] = ContextVar("asked", default=None)


@contextmanager
def recording(text: str) -> Iterator[None]:
    """`write_run` writes this text meanwhile; outside, where a library call was told all by its caller, nothing."""
    token = _asked.set(text)
    try:
        yield
    finally:
        _asked.reset(token)


def check_run(folder: Path, name: str = RUN) -> None:
    """InputError where `write_run` would replace a file that somebody else has written."""
    if _asked.get() is not None and (folder / name).exists() and not is_ours(folder / name):
        raise InputError(
            f"output: {folder / name} was not written by headroles and is not replaced; rename it, or give another "
            "--output"
        )


def write_run(folder: Path, name: str = RUN, keep: bool = False) -> None:
    """Write what was asked for, if a command asked; else take away what an earlier run has left, or `keep` it."""
    text = _asked.get()
    if text is not None:
        check_run(folder, name)
        write_text(folder / name, text)
    elif not keep and is_ours(folder / name):
        (folder / name).unlink()


def is_ours(path: Path) -> bool:
    """Whether a file is one that `write_run` wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()
