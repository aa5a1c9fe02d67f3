"""Bed: the model, the role map and the tasks of a grid, opened once a process, and the job of every cell."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headroles.adapt.adapter.memory import remember_split
from headroles.adapt.comparison.entries import Entry
from headroles.adapt.comparison.grid import Cell, Grid
from headroles.adapt.comparison.record import CellRecord
from headroles.adapt.data.image_memo import ImageMemo
from headroles.adapt.data.task import Task
from headroles.adapt.data.tasks import open_task
from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.role_map import LEFT, find_left, find_role_map
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.methods.registry import find_method
from headroles.adapt.results.protocols import WITH_TARGETS
from headroles.adapt.training.fingerprint import digest_map
from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

OPTIONS = tuple(
    each.name
    for each in dataclasses.fields(Job)
    if each.name not in ("model", "task", "role_map", "seeds", "method", "settings", "train", "free")
)
"""Fields of a job that all cells share."""
ROLE_MAP = "role_map.json"
"""Below the output: the map that the entries with roles are given."""


@dataclass
class Bed:
    """What all cells of a grid share."""

    grid: Grid
    clip: HookedCLIP
    """The model."""
    role_map: RoleMap | None
    """For the entries with roles; None where there are none."""
    strict: bool = False
    """Refuse images that cannot be read, or are there twice."""
    memo: ImageMemo = field(default_factory=ImageMemo)
    """What the cells of one task and seed need of images but once."""
    _named: dict[str, Task] = field(default_factory=dict)
    _opened: dict[Any, tuple[JobTasks, dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def open(cls, grid: Grid, device: str, role_map: RoleMap | None = None, strict: bool = False) -> Bed:
        """Load the model; the tasks are opened as their cells come."""
        clip = grid.model if isinstance(grid.model, HookedCLIP) else load(grid.model, device)
        named = {each.name: each for each in grid.tasks if isinstance(each, Task)}
        return cls(grid, clip, role_map, strict, _named=named)

    @property
    def model_name(self) -> str:
        """As `headroles.load` takes it."""
        return self.clip.model_name if isinstance(self.grid.model, HookedCLIP) else self.grid.model

    def task(self, name: str) -> Task:
        """One of the grid's tasks, whole."""
        if name not in self._named:
            self._named[name] = open_task(name, self.grid.options.get("root"), self.grid.options.get("template"))
        return self._named[name]

    def find_role_map(self, output: Path) -> str:
        """Find the role map of the entries with roles, if there are any, and say where it came from.

        The one that was given; else the one that this output began with; else what `headroles.adapt.adapt` would take,
        of all layers that any of them reads. Raises InputError for a map that was given and goes to none.
        """
        entries = [entry for entry in self.grid.entries if entry.roles]
        if not entries and self.grid.role_map is not None:
            raise InputError("role map: no method here is given it; write METHOD+roles, or leave it out")
        if not entries:
            return ""
        if self.grid.role_map is not None:
            job = self._job(entries[0], self.grid.names[0], 1, self.grid.role_map)
            self.role_map, note = find_role_map(job, self.clip)
            return note
        jobs = [self._job(entry, self.grid.names[0], 1, None) for entry in entries]
        firsts = [find_method(job.method).first_layer(self.clip, job.settings) for job in jobs]
        first = min(*firsts, self.clip.visual.layers - 1)
        self.role_map, note = find_left(self.model_name, self.clip, first, (output / ROLE_MAP, LEFT))
        return note

    def _job(self, entry: Entry, task: str, seed: int | Iterable[int], role_map: RoleMap | Path | None) -> Job:
        options: dict[str, Any] = {**self.grid.options, "role_map": role_map if entry.roles else None}
        options["protocol"] = options.get("protocol") or self.task(task).default_protocol
        return Job.of(entry.settings, self.clip, self.task(task), method=entry.method, seeds=seed, **options)

    def job(self, cell: Cell, seeds: Iterable[int] | None = None) -> Job:
        """The job of a cell, or the same with all `seeds`; a trial is tested on the task's validation images.

        A trial of a protocol that tests on other tasks is tested on all classes of its own: no choice is made by them.
        """
        job = self._job(cell.entry, cell.task, seeds or (cell.seed,), self.role_map)
        if cell.trial is None:
            return job
        protocol = "few-shot" if job.protocol in WITH_TARGETS else job.protocol
        return dataclasses.replace(job, task=_validating(job.task), protocol=protocol, targets=None, retention=())

    def open_cell(self, cell: Cell) -> tuple[Job, JobTasks, CellRecord]:
        """The job, its tasks, and the record of its beginning; InputError where it cannot be done."""
        job = self.job(cell)
        seeds = self.grid.seeds if cell.trial is None else (cell.seed,)
        key = (cell.task, cell.trial is None, job.validates, tuple(map(str, job.kept)))
        if key not in self._opened:
            tasks = JobTasks.open(self.job(cell, seeds), self.strict)
            self._opened[key] = tasks, describe_bed(job, tasks, self.clip)
        tasks, bed = self._opened[key]
        return job, _of_seed(tasks, cell.seed), CellRecord(
            cell.entry.name, cell.entry.method, cell.task, cell.seed, cell.trial, bed, _describe(cell, job)
        )

    def check(self, cell: Cell) -> None:
        """InputError where the cell's method refuses model, protocol, role map or settings."""
        job, tasks, _ = self.open_cell(cell)
        kind = find_method(job.method)
        kind.check_model(self.clip)
        role_map = self.role_map if cell.entry.roles else None
        for trained in tasks.trained.values():
            kind(self.clip, role_map, job.settings, cell.seed, trained.classes)


def _of_seed(tasks: JobTasks, seed: int) -> JobTasks:
    """The tasks of one seed's trainings alone."""
    return dataclasses.replace(tasks, trained={key: each for key, each in tasks.trained.items() if key.seed == seed})


def _validating(task: str | Task) -> Task:
    """The task with its validation images in place of those that test."""
    assert isinstance(task, Task)
    lacking = set(range(len(task.classes))) - {example.label for example in task.val}
    if lacking:
        raise InputError(
            f"tune: class {task.classes[min(lacking)]!r} of {task.name} has no validation image; set some apart, "
            "?val-share=0.2 behind the task's name, or leave --tune out"
        )
    return dataclasses.replace(task, test=task.val)


def describe_bed(job: Job, tasks: JobTasks, clip: HookedCLIP) -> dict[str, Any]:
    """What all cells of a task have in common, as plain values."""
    plain = {name: _plain(getattr(job, name)) for name in OPTIONS if name not in ("root", "log")}
    plain |= {"targets": [each.name for each in tasks.targets], "retention": [each.name for each in tasks.retention]}
    return record_ablation(
        {
            **plain,
            "model": clip.weights_hash(),
            "template": tasks.task.template,
            "images": remember_split(tasks.task),
        }
    )


def _describe(cell: Cell, job: Job) -> dict[str, Any]:
    role_map = job.role_map if isinstance(job.role_map, RoleMap) else None
    return {
        "given": _plain(dict(cell.entry.settings)),
        "method": job.settings.to_dict(),
        "train": job.train.to_dict() | {"seed": cell.seed},
        "role map": digest_map(role_map),
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
