"""One cell's run, from wherever it stopped to its record."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from headroles.adapt.adapter.info import FILES
from headroles.adapt.comparison.bed import Bed
from headroles.adapt.comparison.grid import Cell
from headroles.adapt.comparison.record import CellRecord, read_record
from headroles.adapt.data.image_memo import sharing
from headroles.adapt.jobs.output import working_folder
from headroles.adapt.jobs.run import JobRun
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.errors import InputError, said
from headroles.images.notes import LOG

BUSY = "output-busy"
"""Page of the refusal of a folder that another process works in."""


@dataclass(frozen=True)
class Failure:
    """A cell that could not be done."""

    cell: Cell
    """Which."""
    why: str
    """In one line; "" where another process is at work on it."""

    @property
    def told(self) -> str:
        """The cell and why, in one line."""
        return f"{self.cell}: failed: {self.why}"


def run_cell(bed: Bed, cell: Cell, output: Path, workers: int = 0, keep: bool = True) -> CellRecord | Failure:
    """Train and test a cell, or go on with it; `keep`: leave its adapter beside the record.

    Where it fails by a mistake, or as its loss stops being a number, the failure is returned and other cells can be
    done.
    """
    folder = output / cell.place
    bed.memo.turn_to(cell.task, cell.seed)
    try:
        with working_folder(folder, tuple(bed.open_cell(cell)[1].trained)), sharing(bed.memo), quiet():
            before = read_record(folder)
            record = before if before and before.over else _finish(bed, cell, folder, workers)
            if not keep:
                for name in FILES:
                    (folder / name).unlink(missing_ok=True)
            return record
    except InputError as error:
        return Failure(cell, "" if error.page == BUSY else str(error))
    except (RuntimeError, MemoryError) as error:  # Of torch, such as a GPU that is full.
        return Failure(cell, f"{type(error).__name__}: {said(error)}")


def _finish(bed: Bed, cell: Cell, folder: Path, workers: int) -> CellRecord:
    job, tasks, record = bed.open_cell(cell)
    before = read_record(folder)
    if before:
        before.check_same(record)
    else:
        record.save(folder / CellRecord.file_name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.seed)  # Whatever is drawn outside the training, order and process do not matter.
        run = JobRun.open(job, folder, str(bed.clip.device), resume=True, overwrite=False, tasks=tasks)
        try:
            adapters = run.train(workers, None)
        except InputError as error:
            if cell.trial is None:
                raise
            Checkpoint(folder).remove()
            return _keep(replace(record, why=str(error)), folder)  # Such as a rate that is too high for the method.
    rows = tuple(replace(row, per_class={}) for adapter in adapters for row in adapter.measures)
    record = replace(record, rows=rows, trained=adapters[0].method.trained_count)
    costs = [each.cost for each in run.seeds]  # Several where a protocol leaves out domain by domain.
    seconds, memory = ([getattr(cost, name) for cost in costs if cost] for name in ("whole", "memory"))
    if len(seconds) == len(costs) and None not in (*seconds, *memory):
        record = replace(record, seconds=sum(seconds), memory=max(memory))
    return _keep(record, folder)


def _keep(record: CellRecord, folder: Path) -> CellRecord:
    record.save(folder / CellRecord.file_name)
    return record


@contextmanager
def quiet() -> Iterator[None]:
    """Without what single trainings say of themselves."""
    level = LOG.level
    LOG.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOG.setLevel(level)
