"""compare(): methods x tasks x seeds, each cell a job that resumes, to rows, means and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headroles.adapt.comparison.bed import OPTIONS, ROLE_MAP, Bed
from headroles.adapt.comparison.comparison import Comparison
from headroles.adapt.comparison.crew import Outcome, Progress, Work, run_all, with_threads
from headroles.adapt.comparison.entries import Entry, read_entries, with_settings
from headroles.adapt.comparison.grid import ALL, TUNING_SEED, Cell, Grid, list_tasks, take_shard
from headroles.adapt.comparison.record import check_alike
from headroles.adapt.comparison.run import Failure
from headroles.adapt.comparison.store import Store
from headroles.adapt.comparison.table import count_of
from headroles.adapt.comparison.trials import choose, read_trials
from headroles.adapt.data.task import Task
from headroles.adapt.jobs.job import MODEL, Job
from headroles.adapt.jobs.output import check_apart
from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.run_file import check_run, write_run
from headroles.heads.ablation import current_ablation
from headroles.images.counting import counted
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.processes import launched
from headroles.roles.role_map import RoleMap

Say = Callable[[str], None]
_WHOLE = (1, 1)

_NAMED = 8
"""Cells that a note names."""


@typed
def compare(
    model: str | HookedCLIP = MODEL,
    tasks: str | Task | Iterable[str | Task] = ALL,
    methods: str | Iterable[str] = ALL,
    *,
    output: str | os.PathLike[str],
    seeds: int | Iterable[int] = (1, 2, 3, 4, 5),
    own: Mapping[str, Mapping[str, Any]] | None = None,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    tune: bool = False,
    tune_tasks: Iterable[str] = (),
    tune_seed: int = TUNING_SEED,
    processes: int = 1,
    threads: int = 1,
    shard: tuple[int, int] = _WHOLE,
    skip_refused: bool = False,
    overwrite: bool = False,
    keep_adapters: bool = True,
    device: str = "auto",
    workers: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    **settings: Any,
) -> Comparison:
    """Train and test every method on every task with every seed, and put the rows side by side.

    `model`, `role_map`, `device`, `workers`, `strict`: as `headroles.adapt.adapt` takes them; a role map goes to
    methods that need one and to those written METHOD+roles. `tasks`: several, or "all", the built-in ones that the
    bundled model does not know already. `methods`: METHOD, METHOD+roles, NAME=METHOD, or "all". `seeds`: several, or
    one alone. `settings`: fields of TrainConfig for all methods that take steps, and what `adapt` takes beside
    (`protocol`, `shots`, `targets`, `retention`, `root`, `template`); `own`: name -> settings of that method alone. A
    task without `protocol` has its own default.

    `tune`: choose each method's settings from a small grid of its own (`headroles.adapt.comparison.grids`), with as
    many trials for every method, on the validation images of `tune_tasks` (none: all tasks), with a seed that may not
    be reported.

    Every cell has a folder in `output`, is done once, and goes on where it was stopped; several calls may work at once.
    `shard` (i, n) does every n-th cell. `processes` at once, of `threads` of torch each; bytes depend on the latter
    alone. Raises InputError, before anything is trained, where a method refuses model, protocol or settings (with
    `skip_refused` it is left out and said), and where a cell is there with other settings (`overwrite` does the cells
    of the grid anew). A cell that fails later is named in the result's `failed`.

    `progress` is called with every cell that is over, how many are and how many there are; `say` with lines about what
    is done.
    """
    options = {name: settings.pop(name) for name in settings.keys() & set(OPTIONS)}
    grid = Grid(
        model,
        with_settings(read_entries(_several(methods)), settings, own or {}),
        list_tasks(_several(tasks)),
        (seeds,) if isinstance(seeds, int) else tuple(seeds),
        options,
        Path(role_map) if isinstance(role_map, (str, os.PathLike)) else role_map,
        tune,
        tuple(tune_tasks),
        tune_seed,
    )
    work = Work(Path(output), processes, threads, device, workers, strict, keep_adapters)
    return _Comparing(grid, work, shard, skip_refused, overwrite, progress, say or _nothing).run()


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, (str, Task)) else list(given)


def _nothing(line: str) -> None:
    """Who says nothing."""


@dataclass
class _Comparing:
    """A comparison on its way."""

    grid: Grid
    work: Work
    shard: tuple[int, int]
    skip_refused: bool
    overwrite: bool
    progress: Progress | None
    say: Say
    left_out: tuple[str, ...] = ()
    """Methods that were refused, and why, a line each."""

    def run(self) -> Comparison:
        self._check_given()
        self.store = Store(self.work.output)
        with with_threads(self.work.threads):
            self.bed = Bed.open(self.grid, self.work.device, strict=self.work.strict)
            with self.store.turn():
                self._prepare()
            if self.shard == _WHOLE:  # One of several says not all that makes the comparison.
                write_run(self.work.output, keep=True)
            self._tune()
            cells = self._begin(self.grid.cells)
            failed = [f"{each.cell}: {each.why}" for each in self._do(cells) if isinstance(each, Failure)]
        return self.store.write(failed, (*self.left_out, *self._lacking()))

    def _lacking(self) -> tuple[str, ...]:
        """Of a shard, which cells of the whole grid are not over."""
        if self.shard[1] == 1:
            return ()
        records = ((cell, self.store.record(cell)) for cell in self.grid.cells)
        lacking = [f"{cell}" for cell, record in records if record is None or not record.over]
        what = f"{len(lacking)} of {count_of(len(self.grid.cells), 'cell')} of all shards are not done: "
        return (what + "; ".join(lacking[:_NAMED]) + " ..." * (len(lacking) > _NAMED),) if lacking else ()

    def _check_given(self) -> None:
        """InputError for what can be seen without opening anything."""
        number, count = self.shard
        if not 1 <= number <= count:
            raise InputError(f"shard must be i/n with i from 1 to n, got {number}/{count}")
        for name in ("processes", "threads"):
            if getattr(self.work, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self.work, name)}")
        if self.work.processes > 1 and current_ablation():
            raise InputError("processes: heads are cut in this process alone; use one, and --shard for others")
        if launched():
            raise InputError("compare: shares its cells out by itself; start it without a launcher, with --processes")
        if self.work.processes > 1 and isinstance(self.grid.model, HookedCLIP):
            raise InputError("processes: each opens the model for itself; give its name or path, not a loaded one")
        for task in self.grid.tasks:
            check_apart(Job(task=task), self.work.output)
        Store(self.work.output).check()
        check_run(self.work.output)

    def _prepare(self) -> None:
        """Check every cell, find the role map, and make room; nothing is trained."""
        note = self.bed.find_role_map(self.work.output)
        self._leave_out_refused()
        known = () if self.grid.tune else self.grid.cells  # Tuning will choose their settings.
        removed = take_shard((*self.grid.trials, *self.grid.cells), self.shard) if self.overwrite else ()
        if not self.overwrite:
            self._find_left((*self.grid.trials, *known))
        plans = [self.bed.open_cell(cell)[2] for cell in self._firsts(known)]
        check_alike([*self.store.records(without=removed), *plans])
        self.store.remove(removed)
        if self.bed.role_map is not None:
            self.bed.role_map.save(self.work.output / ROLE_MAP)
        self.say(self._describe())
        if note:
            self.say(note)

    def _firsts(self, cells: Sequence[Cell]) -> list[Cell]:
        """Every method on every task, once."""
        return [cell for cell in cells if cell.seed == self.grid.seeds[0]]

    def _leave_out_refused(self) -> None:
        """InputError where a method cannot be compared, or, if that is asked for, the grid without it."""
        probe = Entry("zero-shot", "zero-shot")
        for task in self.grid.names:  # What is wrong with a task is no method's fault.
            self.bed.open_cell(Cell(probe, task, self.grid.seeds[0]))
        refused = {entry.name: why for entry in self.grid.entries if (why := self._refusal(entry))}
        kept = tuple(entry for entry in self.grid.entries if entry.name not in refused)
        lines = [f"{name} is refused: {why}" for name, why in refused.items()]
        if refused and (not self.skip_refused or not kept):
            *others, last = lines
            for line in others:
                self.say(line)
            raise InputError(f"methods: {last}; leave it out, or say --skip-refused")
        self.left_out = tuple(f"left out: {line}" for line in lines)
        for line in self.left_out:
            self.say(line)
        self.grid = replace(self.grid, entries=kept)
        self.bed.grid = self.grid

    def _refusal(self, entry: Entry) -> str:
        """Why an entry cannot be compared; "" where it can."""
        first, *others = [Cell(entry, task, self.grid.seeds[0]) for task in self.grid.names]
        try:
            self.bed.check(first)
            for cell in others:
                self.bed.open_cell(cell)
            for cell in replace(self.grid, entries=(entry,)).trials:
                self.bed.open_cell(cell)
        except InputError as error:
            return str(error)
        return ""

    def _tune(self) -> None:
        """Do this shard's trials, and give the grid the settings that all shards' trials choose."""
        trials = self.grid.trials
        if not trials:
            return
        self._do(self._begin(trials))
        records = [self.store.record(cell) for cell in trials]
        over = [record for record in records if record is not None and record.over]
        if len(over) < len(trials):
            raise InputError(
                f"tune: {len(trials) - len(over)} trials of other shards are not over, so no settings are chosen yet; "
                "start this shard again when they are"
            )
        chosen = choose(self.grid.entries, read_trials(over))
        self.grid = self.bed.grid = replace(self.grid, entries=chosen, tune=False, tuning_tasks=())
        check_alike([*self.store.records(), *(self.bed.open_cell(cell)[2] for cell in self._firsts(self.grid.cells))])

    def _begin(self, cells: Sequence[Cell]) -> list[Cell]:
        """This shard's cells that are left, of which it is told from now on."""
        left = self._find_left(cells)
        self.count = len(take_shard(cells, self.shard))
        self.over = self.count - len(left)
        return left

    def _find_left(self, cells: Sequence[Cell]) -> list[Cell]:
        """This shard's cells that are left; InputError where one is there with other settings."""
        left = []
        for cell in take_shard(cells, self.shard):
            record = self.store.record(cell)
            if record is not None:
                record.check_same(self.bed.open_cell(cell)[2])
            if record is None or not record.over:
                left.append(cell)
        return left

    def _do(self, cells: Sequence[Cell]) -> list[Outcome]:
        """The outcome of each."""
        outcomes = []
        for outcome in counted(run_all(self.bed, cells, self.work), "cells", len(cells), "cell"):
            self.over += 1
            if self.progress:
                self.progress(outcome, self.over, self.count)
            outcomes.append(outcome)
        return outcomes

    def _describe(self) -> str:
        grid, (number, count) = self.grid, self.shard
        counts = (grid.entries, "method"), (grid.names, "task"), (grid.seeds, "seed")
        whole = " x ".join(count_of(len(some), name) for some, name in counts)
        trials = f" after {len(grid.trials)} trials on validation images" if grid.trials else ""
        part = "" if count == 1 else f"; shard {number} of {count}"
        return f"compare: {whole}, {len(grid.cells)} cells{trials}{part}"
