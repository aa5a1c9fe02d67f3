"""The folders of a continual job: an adapter in each, and what an earlier job has left there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from headroles.adapt.adapter.info import CONFIG, FILES
from headroles.adapt.continual.result import DRIFT, MATRIX, Continual
from headroles.adapt.continual.ways import STRATEGIES
from headroles.adapt.jobs.output import check_output, remove_others
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.log import FOLDER as LOGS
from headroles.adapt.training.log import are_ours
from headroles.errors import InputError
from headroles.files.places import check_writable
from headroles.files.run_file import RUN, is_ours

_OURS = re.compile(rf"(task|{'|'.join(STRATEGIES)})-\d+")
"""Names of the adapters' folders: task-2 is task 2's own, sequential-2 one that was trained on both."""


def adapter_folder(output: Path, seeds: Sequence[int], seed: int, strategy: str, count: int) -> Path:
    """Where the adapter of a seed and strategy goes, `count` tasks trained."""
    return (output / f"seed-{seed}" if len(seeds) > 1 else output) / f"{strategy}-{count}"


def check_continual(output: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, and other work's results unless asked to replace them."""
    done = (output / Continual.file_name).exists() and not (output / CONFIG).exists()
    if resume and not overwrite and done:
        check_writable(output)
        return
    if resume and (output / CONFIG).exists():
        raise InputError(f"resume: {output} is the adapter of one task; give another --output, or --overwrite it")
    check_output(output, resume, overwrite)
    held = [folder for folder in _folders(output) if any((folder / name).exists() for name in FILES)]
    if held and not (overwrite or Checkpoint(output).unfinished):
        raise InputError(
            f"output: {held[0]} already holds an adapter; give another --output or --overwrite", page="output-taken"
        )


def forget(output: Path) -> None:
    """Take away what an earlier job has left, the mark of its being whole first."""
    for name in (Continual.file_name, MATRIX, DRIFT):
        (output / name).unlink(missing_ok=True)
    if is_ours(output / RUN):
        (output / RUN).unlink()
    remove_others(output, ())
    for folder in _folders(output):
        Checkpoint(folder).remove()
        if are_ours(folder / LOGS):
            shutil.rmtree(folder / LOGS)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _folders(output: Path) -> list[Path]:
    places = (output, *sorted(output.glob("seed-*")))
    found = (each for place in places if place.is_dir() for each in sorted(place.iterdir()))
    return [each for each in found if each.is_dir() and _OURS.fullmatch(each.name)]
