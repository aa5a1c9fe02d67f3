"""Places to write to, checked before the work starts; an error leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headroles.errors import InputError


def check_free(*files: Path, option: str = "output") -> None:
    """InputError where one of the files exists; `option` is the one that names them."""
    for file in files:
        if file.exists():
            raise InputError(
                f"{option}: {file} exists already; give another --{option} or --overwrite",
                page="output-taken",
            )


def check_writable(folder: Path, option: str = "output") -> None:
    """InputError where the folder cannot be made or written to. Nothing is left behind, so an error leaves nothing."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"{option}: {there} is a file; give a folder")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise InputError(f"{option}: cannot write to {there} ({error.strerror}); give another --{option}") from error


@contextmanager
def tidying(folder: Path) -> Iterator[None]:
    """Where the work inside fails, take away what it has made of this folder and its parents and left empty."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        for place in new:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise
