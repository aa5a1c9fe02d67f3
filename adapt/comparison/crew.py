"""Crew: the processes that work through cells, in this one or in several, each with the model open once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path

import torch

from headroles.adapt.comparison.bed import Bed
from headroles.adapt.comparison.grid import Cell, Grid
from headroles.adapt.comparison.record import CellRecord
from headroles.adapt.comparison.run import Failure, run_cell
from headroles.errors import InputError
from headroles.roles.role_map import RoleMap

_PAUSE = 0.2
"""Seconds before a cell that another process works on is looked at again."""
Outcome = CellRecord | Failure


@dataclass(frozen=True)
class Work:
    """How cells are done."""

    output: Path
    """Folder of the comparison."""
    processes: int = 1
    """At once."""
    threads: int = 1
    """Of torch, in each of them; the bytes of results depend on it."""
    device: str = "auto"
    """Where the model is loaded."""
    workers: int = 0
    """Processes that decode images, for each."""
    strict: bool = False
    """Refuse images that cannot be read, or are there twice."""
    keep: bool = True
    """Leave every cell's adapter beside its record."""

    def run(self, bed: Bed, cell: Cell) -> Outcome:
        """One cell; of a trial no adapter is kept."""
        return run_cell(bed, cell, self.output, self.workers, self.keep and cell.trial is None)


def run_all(bed: Bed, cells: Sequence[Cell], work: Work) -> Iterator[Outcome]:
    """The outcome of every cell, as they come; cells that others work on are waited for."""
    if work.processes == 1 or len(cells) < 2:
        yield from _run_here(bed, cells, work)
    else:
        yield from _run_apart(bed, cells, work)


def _run_here(bed: Bed, cells: Sequence[Cell], work: Work) -> Iterator[Outcome]:
    left = deque(cells)
    while left:
        busy: deque[Cell] = deque()
        for cell in left:
            outcome = work.run(bed, cell)
            if isinstance(outcome, Failure) and not outcome.why:
                busy.append(cell)
            else:
                yield outcome
        left = busy
        if left:
            time.sleep(_PAUSE)


def _run_apart(bed: Bed, cells: Sequence[Cell], work: Work) -> Iterator[Outcome]:
    given = bed.grid, bed.role_map, work
    spawn = multiprocessing.get_context("spawn")  # A GPU, and torch's threads, do not survive a fork.
    pool = ProcessPoolExecutor(min(work.processes, len(cells)), spawn, _open, given)
    try:
        left = {pool.submit(_run, cell) for cell in cells}
        while left:
            over, left = wait(left, return_when=FIRST_COMPLETED)
            for future in over:
                yield from _take(future, pool, left)
    except BrokenProcessPool as error:
        raise InputError(
            "processes: one was stopped from outside, as by a lack of memory; what is done is kept: go on with fewer "
            "--processes"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _take(future: Future[Outcome], pool: ProcessPoolExecutor, left: set[Future[Outcome]]) -> Iterator[Outcome]:
    outcome = future.result()
    if isinstance(outcome, Failure) and not outcome.why:
        time.sleep(_PAUSE)
        left.add(pool.submit(_run, outcome.cell))
    else:
        yield outcome


_OPENED: list[tuple[Bed, Work]] = []
"""Of a process of the crew: its own."""


def _open(grid: Grid, role_map: RoleMap | None, work: Work) -> None:
    """Begin a process of the crew. It ends with the one that started it, and leaves Ctrl-C to that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(work.threads)
    _OPENED.append((Bed.open(grid, work.device, role_map, work.strict), work))


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _run(cell: Cell) -> Outcome:
    ((bed, work),) = _OPENED
    return work.run(bed, cell)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """So many threads of torch meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Progress = Callable[[Outcome, int, int], None]
"""Called with every outcome, how many cells are over, and how many there are."""
