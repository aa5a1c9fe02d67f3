"""The files of a scoring: refused where they would replace others before the work starts, then written whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError
from headroles.files.places import check_writable
from headroles.files.run_file import check_run, write_run
from headroles.files.whole import replacing_together

if TYPE_CHECKING:
    from headroles.heads.moments import HeadMoments
    from headroles.heads.value_moments import ValueMoments
    from headroles.passes.state import PassState
    from headroles.roles.probes import ProbeBank
    from headroles.roles.role_map import RoleMap

MOMENTS = {"text": "moments.safetensors", "image": "value_moments.safetensors"}
"""File of the sums that a role map rests on, by its kind of probes."""
LOCKED = "role map"
"""What a lock of a whole run says that it makes."""
PROBES = "probes.csv"
"""File of the bank whose concepts were discovered."""
ALIGNED = "alignment/alignment.json"
"""File of a learned map to a CLIP's embedding, if one was asked for (`headroles.jobs.align`)."""
FILES = ("role_map.json", "role_map.csv", *MOMENTS.values(), PROBES, ALIGNED)


def check_output(folder: Path, overwrite: bool, files: Sequence[str] = FILES) -> None:
    """Refuse a folder that cannot be written or already holds one of the files; it is made when they are."""
    taken = [name for name in files if (folder / name).exists()]
    if taken and not overwrite:
        raise InputError(
            f"output: {folder} already holds {taken[0]}; give another --output or --overwrite",
            page="output-taken",
        )
    check_run(folder)
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


def write_results(
    role_map: RoleMap, moments: HeadMoments | ValueMoments | None, folder: Path, bank: ProbeBank | None = None
) -> tuple[Path, ...]:
    """Write and name role_map.json, role_map.csv, the moments if any, and the `bank` if its concepts were discovered.

    All are written before the first takes its place, the map last: where writing fails, an older result stays whole.
    """
    with replacing_together(folder, "role_map.json") as staging:
        if moments:
            moments.save(staging / MOMENTS[role_map.probe_kind])
        if bank:
            bank.save(staging / PROBES)
        role_map.save(staging / "role_map.csv")
        role_map.save(staging / "role_map.json")
    write_run(folder)
    more = [*([MOMENTS[role_map.probe_kind]] if moments else []), *([PROBES] if bank else [])]
    names = ("role_map.json", "role_map.csv", *more)
    return tuple(folder / name for name in names)
