"""Where results go: checked before the work starts, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError

if TYPE_CHECKING:
    from headroles.moments import HeadMoments
    from headroles.role_map import RoleMap

_FILES = ("role_map.json", "role_map.csv", "moments.safetensors")


def check_output(folder: Path, overwrite: bool) -> None:
    """Make the folder, and refuse one that cannot be written or already holds a role map."""
    taken = [name for name in _FILES if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(f"output: {folder} already holds {taken[0]}; give another --output or --overwrite")
    check_writable(folder)


def check_free(*files: Path) -> None:
    """InputError where one of the files exists."""
    for file in files:
        if file.exists():
            raise InputError(f"output: {file} exists already; give another --output or --overwrite")


def check_writable(folder: Path) -> None:
    """Make the folder; InputError where it cannot be made or written to."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"output: {folder} is a file; give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".headroles.partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"output: cannot write to {folder} ({error.strerror}); give another --output") from error


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """`check_writable` a folder that the work inside will write to, `tidying` it."""
    with tidying(folder):
        check_writable(folder)
        yield


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


def write_results(role_map: RoleMap, moments: HeadMoments, folder: Path) -> None:
    """role_map.json, role_map.csv and moments.safetensors; each appears in one step, the map last."""
    moments.save(folder / "moments.safetensors")
    role_map.save(folder / "role_map.csv")
    role_map.save(folder / "role_map.json")
