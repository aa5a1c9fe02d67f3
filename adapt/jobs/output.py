"""A job's output folder: what may be replaced there, and what an earlier job has left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from headroles.adapt.adapter.folders import Draw, list_places, place_draws
from headroles.adapt.adapter.info import CONFIG, FILES, METRICS, TABLE
from headroles.adapt.data.spec import split_spec
from headroles.adapt.data.task import Task
from headroles.adapt.jobs.job import Job
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.log import FOLDER, are_ours
from headroles.adapt.training.processes import is_main, on_main
from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.files.places import check_writable
from headroles.files.run_file import check_run


def check_output(
    output: Path, resume: bool, overwrite: bool, several: bool = False, logs: bool = False
) -> None:
    """Refuse a folder that cannot be written, and other work's results unless asked to replace them.

    `several`: the job has several adapters, in folders below `output`. `logs`: it leaves a folder of logs.
    """
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; give one of them")
    folders = list_places(output)
    begun = [folder for folder in folders if Checkpoint(folder).unfinished]
    done = [folder / name for folder in folders for name in FILES if (folder / name).exists()]
    ours = begun or any((folder / CONFIG).exists() for folder in folders)
    if begun and not (resume or overwrite):
        raise InputError(
            f"output: {begun[0]} holds an unfinished training; --resume it or --overwrite it", page="unfinished"
        )
    if resume and several and (output / CONFIG).exists():
        raise InputError(f"resume: {output} is one adapter, not a job of several; give another --output")
    if done and not (overwrite or (resume and ours)):
        raise InputError(
            f"output: {done[0].parent} already holds {done[0].name}; give another --output or --overwrite",
            page="output-taken",
        )
    for place in (folder / FOLDER for folder in folders if logs):
        if place.exists() and not are_ours(place):
            raise InputError(f"output: {place} holds other things than logs of a training; give another --output")
    check_run(output)
    check_writable(output)


def check_apart(job: Job, output: Path) -> None:
    """InputError where the output would lie among the images of the job's task, and be read as one of its classes."""
    if isinstance(job.task, Task):
        return
    folder = Path(split_spec(job.task)[0]).expanduser()
    if folder.is_dir() and output.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"output: {output} lies in the task's folder {folder}; give an --output outside it")


def _lock(stack: ExitStack, folder: Path) -> None:
    stack.enter_context(locked(folder, "adapter"))


def remove_others(output: Path, folders: Collection[Path]) -> None:
    """Take away what an earlier job has left beside the adapters in `folders`."""
    summary = {TABLE, METRICS} if len(folders) > 1 else set()
    for folder in sorted(set(list_places(output)) - set(folders), reverse=True):
        for name in set(FILES) - (summary if folder == output else set()):
            (folder / name).unlink(missing_ok=True)
        if are_ours(folder / FOLDER):
            shutil.rmtree(folder / FOLDER)
        if folder != output and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def working_folder(output: Path | None, draws: Sequence[Draw]) -> Iterator[Path]:
    """The output folder, or a temporary one, the same for all processes, where a job keeps its results in memory.

    The output and the folders of the draws below it are locked: another job that would write there meanwhile is refused
    at once.
    """
    if output is not None:
        with ExitStack() as stack:
            for folder in dict.fromkeys((output, *place_draws(output, draws).values())):
                on_main(partial(_lock, stack, folder))
            yield output
        return
    folder = Path(on_main(lambda: tempfile.mkdtemp(prefix="headroles-")))
    try:
        yield folder
    finally:
        if is_main():
            shutil.rmtree(folder, ignore_errors=True)
