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
    count = min(work.processes, len(cells))
    pools = [ProcessPoolExecutor(1, spawn, _open, given) for _ in range(count)]
    lanes = Lanes(cells, count)
    running: dict[Future[Outcome], int] = {}

    def go_on(lane: int) -> None:
        cell = lanes.take(lane)
        if cell is not None:
            running[pools[lane].submit(_run, cell)] = lane

    try:
        for lane in range(count):
            go_on(lane)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                lane, outcome = running.pop(future), future.result()
                if isinstance(outcome, Failure) and not outcome.why:
                    time.sleep(_PAUSE)
                    lanes.put_back(lane, outcome.cell)
                else:
                    yield outcome
                go_on(lane)
    except BrokenProcessPool as error:
        raise InputError(
            "processes: one was stopped from outside, as by a lack of memory; what is done is kept: go on with fewer "
            "--processes"
        ) from error
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


class Lanes:
    """Which process does which cells: all of a task and seed one process, as they have their images in common.

    Who has none left gets the second half of what the one with most has before it.
    """

    def __init__(self, cells: Sequence[Cell], count: int) -> None:
        blocks: dict[tuple[str, int], list[Cell]] = {}
        for cell in cells:
            blocks.setdefault((cell.task, cell.seed), []).append(cell)
        self._blocks = deque(blocks.values())
        self._lanes: list[deque[Cell]] = [deque() for _ in range(count)]

    def take(self, lane: int) -> Cell | None:
        """The next cell of a process; None where nothing is left for it."""
        own = self._lanes[lane]
        if not own and self._blocks:
            own.extend(self._blocks.popleft())
        elif not own:
            most = max(self._lanes, key=len)
            own.extendleft([most.pop() for _ in range((len(most) + 1) // 2)])
        return own.popleft() if own else None

    def put_back(self, lane: int, cell: Cell) -> None:
        """A cell to be looked at again, once the others of its process are over."""
        self._lanes[lane].append(cell)


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
