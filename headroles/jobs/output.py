"""Where results go: checked before the work starts, written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError

if TYPE_CHECKING:
    from headroles.heads.moments import HeadMoments
    from headroles.heads.value_moments import ValueMoments
    from headroles.passes.state import PassState
    from headroles.roles.probes import ProbeBank
    from headroles.roles.role_map import RoleMap

MOMENTS = {"text": "moments.safetensors", "image": "value_moments.safetensors"}
"""File of the sums that a role map rests on, by its kind of probes."""
PROBES = "probes.csv"
"""File of the bank whose concepts were discovered."""
_FILES = ("role_map.json", "role_map.csv", *MOMENTS.values(), PROBES)


def check_output(folder: Path, overwrite: bool, files: Sequence[str] = _FILES) -> None:
    """Refuse a folder that cannot be written or already holds one of the files; it is made when they are."""
    taken = [name for name in files if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(
            f"output: {folder} already holds {taken[0]}; give another --output or --overwrite",
            page="output-taken",
        )
    check_writable(folder)


def check_state(state: PassState, resume: bool, overwrite: bool) -> None:
    """Refuse to begin where a pass was left unfinished, unless it is to go on or to be replaced."""
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; give one of them")
    if state.files() and not (resume or overwrite):
        raise InputError(
            f"output: {state.folder.parent} holds an unfinished pass; --resume it or --overwrite it",
            page="unfinished",
        )


def check_free(*files: Path) -> None:
    """InputError where one of the files exists."""
    for file in files:
        if file.exists():
            raise InputError(
                f"output: {file} exists already; give another --output or --overwrite",
                page="output-taken",
            )


def check_writable(folder: Path) -> None:
    """InputError where the folder cannot be made or written to. Nothing is left behind, so an error leaves nothing."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise InputError(f"output: {there} is a file; give a folder")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise InputError(f"output: cannot write to {there} ({error.strerror}); give another --output") from error


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Make a folder that the work inside will write to, `tidying` it."""
    with tidying(folder):
        check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
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


def write_results(
    role_map: RoleMap, moments: HeadMoments | ValueMoments, folder: Path, bank: ProbeBank | None = None
) -> tuple[Path, ...]:
    """Write and name role_map.json, role_map.csv, the moments, and the `bank` if its concepts were discovered.

    Each appears in one step, the map last.
    """
    moments.save(folder / MOMENTS[role_map.probe_kind])
    if bank:
        bank.save(folder / PROBES)
    role_map.save(folder / "role_map.csv")
    role_map.save(folder / "role_map.json")
    names = ("role_map.json", "role_map.csv", MOMENTS[role_map.probe_kind], *([PROBES] if bank else []))
    return tuple(folder / name for name in names)
