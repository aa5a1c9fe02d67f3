"""Files that appear whole: written under another name, then renamed; several of them together or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headroles.files.places import tidying

STAGING = ".headroles-partial"
"""Folder, below that of a result, where files wait for each other."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, which becomes `path` in one step, or is removed where writing fails.

    Folders that lack on the way to `path` are made, and go again where writing fails. An OSError names the file.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with tidying(path.parent), naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_together(folder: str | os.PathLike, last: str) -> Iterator[Path]:
    """A folder whose files, once all are written, take their places in `folder`; `last` is the last one to.

    Where writing fails, or taking places does, what was in `folder` before is as it was.
    """
    folder = Path(folder)
    staging = folder / STAGING
    with tidying(folder), naming(folder):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
            names = sorted((path.name for path in staging.iterdir()), key=lambda name: (name == last, name))
            _change_places(staging, folder, names)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _change_places(staging: Path, folder: Path, names: list[str]) -> None:
    """The files take their places, the last one last; where that fails, those that were there before come back."""
    before, placed = staging / ".before", list[str]()
    before.mkdir()
    try:
        for name in reversed(names):  # The last one goes first: a kill between two steps can be seen.
            if (folder / name).exists():
                (folder / name).replace(before / name)
        for name in names:
            (staging / name).replace(folder / name)
            placed.append(name)
    except BaseException:
        for name in placed:
            (folder / name).unlink()
        for name in names:
            if (before / name).exists():
                (before / name).replace(folder / name)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of writing, which as a rule names no file ("File too large"), names `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write bytes in one step."""
    with replacing(path) as partial:
        partial.write_bytes(content)
