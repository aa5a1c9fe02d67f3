"""Grid: methods x tasks x seeds, a cell each; and, where settings are tuned, the trials before them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headroles.adapt.comparison.entries import Entry
from headroles.adapt.comparison.grids import list_trials
from headroles.adapt.data.task import Task
from headroles.adapt.data.tasks import SHAPES, TASKS
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap
from headroles.shapes.tasks import RETENTION

ALL = "all"
"""Of tasks: the built-in ones that the bundled model does not know already."""
TUNING_SEED = 101
"""Of the shots and the training of trials; reported seeds are others."""
CELLS, TRIALS = "cells", "tuning"
"""Folders below the output."""


@dataclass(frozen=True)
class Cell:
    """One training and its tests: a method on a task with a seed."""

    entry: Entry
    """The method, with its settings."""
    task: str
    """Name of the task."""
    seed: int
    """Of the shots and of the training."""
    trial: int | None = None
    """Number of the trial, from 0, that it is of; None: it is reported."""

    @property
    def place(self) -> Path:
        """Its folder below the output."""
        if self.trial is None:
            return Path(CELLS, self.entry.name, _file_name(self.task), f"seed-{self.seed}")
        return Path(TRIALS, self.entry.name, f"trial-{self.trial}", _file_name(self.task))

    def __str__(self) -> str:
        trial = "" if self.trial is None else f", trial {self.trial + 1}"
        return f"{self.entry.name} on {self.task}, seed {self.seed}{trial}"


@dataclass(frozen=True)
class Grid:
    """What is compared, and how. InputError for an empty one, and for what is there twice."""

    model: str | HookedCLIP
    """The CLIP, or what `headroles.load` takes."""
    entries: tuple[Entry, ...]
    """The methods."""
    tasks: tuple[str | Task, ...]
    """The tasks, or what `open_task` takes."""
    seeds: tuple[int, ...]
    """Reported ones."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of every cell's job: fields of `headroles.adapt.jobs.job.Job`."""
    role_map: RoleMap | Path | None = None
    """For the entries with roles; None: what there is."""
    tune: bool = False
    """Whether trials on validation images choose each method's settings."""
    tuning_tasks: tuple[str, ...] = ()
    """Names of the tasks of the trials; none: all."""
    tuning_seed: int = TUNING_SEED
    """Of the trials."""

    def __post_init__(self) -> None:
        for what, given in (("tasks", self.names), ("seeds", self.seeds)):
            if not given:
                raise InputError(f"{what}: the grid is empty; give at least one")
            for each in given:
                if list(given).count(each) > 1:
                    raise InputError(f"{what}: {each} is there twice; give each once")
        if self.tune and self.tuning_seed in self.seeds:
            raise InputError(f"tune: seed {self.tuning_seed} is tuned with and may not be reported; leave it out")
        for name in self.tuning_tasks:
            if not self.tune or name not in self.names:
                raise InputError(f"tune-tasks: {name} is no task of a grid that is tuned; add it to the tasks")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tasks."""
        return tuple(each.name if isinstance(each, Task) else each for each in self.tasks)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Reported ones: task by task and seed by seed, so that neighbours have their images in common."""
        return tuple(
            Cell(entry, task, seed) for task in self.names for seed in self.seeds for entry in self.entries
        )

    @property
    def trials(self) -> tuple[Cell, ...]:
        """Those of tuning, task by task."""
        if not self.tune:
            return ()
        listed = [(entry, list_trials(entry)) for entry in self.entries]
        return tuple(
            Cell(replace(entry, settings={**entry.settings, **settings}), task, self.tuning_seed, number)
            for task in self.tuning_tasks or self.names
            for entry, trials in listed
            for number, settings in enumerate(trials)
        )


def list_tasks(names: Sequence[str | Task]) -> tuple[str | Task, ...]:
    """The tasks that are named; "all" for the built-in ones that the bundled model does not know already."""
    every = tuple(name for name in TASKS if name.removeprefix(SHAPES) not in RETENTION)
    return tuple(task for name in names for task in (every if name == ALL else (name,)))


def take_shard(cells: Sequence[Cell], shard: tuple[int, int]) -> tuple[Cell, ...]:
    """Every n-th cell of each method, from the i-th on of the first and one later of each further one.

    `shard` is (i, n), i from 1.
    """
    number, count = shard
    turns: dict[str, Iterator[int]] = {}
    return tuple(
        cell
        for cell in cells
        if next(turns.setdefault(cell.entry.name, itertools.count(len(turns)))) % count == number - 1
    )


def _file_name(task: str) -> str:
    """A folder's name for a task: the built-in ones' own; of a path its end, and a hash that tells it from others."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", task).strip("-.")[-40:]
    if task.startswith(SHAPES):
        return plain
    return f"{plain}-{hashlib.sha256(task.encode()).hexdigest()[:8]}"
