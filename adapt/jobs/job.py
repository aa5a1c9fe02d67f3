"""Job: what to adapt to what, and how, checked before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from headroles.adapt.adapter.folders import Draw
from headroles.adapt.config import LAST, DearConfig, Settings, TrainConfig, split_settings
from headroles.adapt.data.names import DEFAULT
from headroles.adapt.data.task import Task
from headroles.adapt.methods.registry import find_method
from headroles.adapt.methods.training_data import TrainingData
from headroles.adapt.results.protocols import LEFT_OUT, NOVEL, WITH_TARGETS, check_protocol, default_targets
from headroles.adapt.training.log import check_log
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.roles.role_map import RoleMap
from headroles.shapes.tasks import RETENTION

MODEL, TASK = "shapes", DEFAULT
"""Where nothing else is asked for."""


@dataclass(frozen=True)
class Job:
    """What to adapt to what, and how."""

    model: str | HookedCLIP = MODEL
    """The CLIP, or what `headroles.load` takes."""
    task: str | Task = TASK
    """The task, or what `open_task` takes."""
    root: Path | None = None
    """Folder of the data sets that a task names."""
    template: str | None = None
    """Prompt with {} for the class, for a task that is named; None: the task's own."""
    role_map: RoleMap | Path | None = None
    """Role map of the model; None: what `headroles score` left, or, for a bundled model, a new one."""
    protocol: str | None = None
    """One of `headroles.adapt.results.protocols.PROTOCOLS`; None: base-to-novel, for data of one's own few-shot."""
    shots: int | tuple[int | None, ...] | None = 16
    """Training images a class, where domains are left out of every other domain; None for all of them. Several: one
    adapter each."""
    seeds: tuple[int, ...] = (1,)
    """One adapter each."""
    targets: tuple[str | Task, ...] | None = None
    """Tasks that cross-dataset and domain-shift test on; None: `headroles.adapt.results.protocols.default_targets`."""
    retention: tuple[str | Task, ...] | None = None
    """Tasks of the retention rows; None: for a bundled model, every plain concept but the task itself."""
    method: str = "dear"
    """One of `headroles.adapt.METHODS`."""
    settings: Settings = field(default_factory=DearConfig)
    """The method's settings, of its own class."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training; its seed is replaced by those of `seeds`."""
    free: frozenset[str] = frozenset()
    """Fields of the training that nobody has set, so that the method's preset for the data decides them (`follow`)."""
    log: tuple[str, ...] = ()
    """Where its numbers are logged: `headroles.adapt.training.log.LOGS`."""

    def __post_init__(self) -> None:
        method = find_method(self.method)
        if type(self.settings) is not method.settings:
            raise InputError(
                f"settings: {self.method} takes {method.settings.__name__}, got {type(self.settings).__name__}"
            )
        if method.role_maps == "none" and self.role_map is not None:
            raise InputError(f"role map: method {self.method} has no use for one; leave it out")
        check_log(self.log)
        if not method.novel:
            self._check_closed()
        if self.protocol is not None:
            check_protocol(self.protocol)
            self.check_targets(self.protocol)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or not all(isinstance(n, int) for n in self.seeds):
            raise InputError(f"seeds must be different numbers, at least one, got {self.seeds}")
        self._check_shots()

    def _check_shots(self) -> None:
        counts = self.shots if isinstance(self.shots, tuple) else (self.shots,)
        for each in counts:
            if each is not None and type(each) is not int:
                raise InputError(f"shots must be a whole number, or None for all images, got {each!r}")
            if each is not None and each < 1:
                raise InputError(f"shots must be at least 1, or None for all images, got {each}")
        if not counts or len(set(counts)) < len(counts):
            raise InputError(f"shots must be different numbers, at least one, got {counts}")

    def _check_closed(self) -> None:
        """InputError where a method that knows the trained classes alone would be tested on others."""
        if self.protocol in NOVEL:
            others = f"few-shot, domain-shift or {LEFT_OUT}"
            what = f"protocol {self.protocol} tests others; use protocol {others}, without retention"
        elif self.retention:
            what = "retention tests others; leave it out (none)"
        else:
            return
        raise InputError(f"method: {self.method} knows the classes that it is trained on alone, and {what}")

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        model: str | HookedCLIP = MODEL,
        task: str | Task = TASK,
        *,
        method: str = "dear",
        seeds: int | Iterable[int] = 1,
        **plain: Any,
    ) -> Job:
        """From plain values, as `headroles.adapt.adapt` takes them."""
        kind = find_method(method)
        own, train = split_settings(settings, kind.settings, kind.preset)
        if not kind.steps:
            _check_no_steps(method, settings)
        plain |= {name: _several(plain.get(name)) for name in ("targets", "retention")}
        plain["log"] = _names(plain.get("log"))
        plain |= {name: _path(plain.get(name)) for name in ("root", "role_map")}
        if isinstance(plain.get("shots"), Iterable) and not isinstance(plain["shots"], str):
            plain["shots"] = tuple(plain["shots"])
            if len(plain["shots"]) == 1:
                (plain["shots"],) = plain["shots"]
        numbers = (seeds,) if isinstance(seeds, int) else tuple(seeds)
        free = frozenset({each.name for each in fields(TrainConfig)} - settings.keys())
        return cls(model, task, seeds=numbers, method=method, settings=own, train=train, free=free, **plain)

    def follow(self, data: TrainingData) -> tuple[Job, tuple[str, ...]]:
        """The job with the method's preset for its data, and a line that says so, where that changes anything."""
        method = find_method(self.method)
        found = {name: value for name, value in method.preset_for(data, self.train).items() if name in self.free}
        if not found:
            return self, ()
        changed = ", ".join(f"{name} {value}" for name, value in found.items())
        line = f"preset: {changed} for these data ({method.preset_by_data})"
        return replace(self, train=replace(self.train, **found)), (line,)

    @property
    def model_name(self) -> str:
        """As `headroles.load` takes it."""
        return self.model.model_name if isinstance(self.model, HookedCLIP) else self.model

    @property
    def task_name(self) -> str:
        """As `open_task` takes it."""
        return self.task.name if isinstance(self.task, Task) else self.task

    @property
    def shot_counts(self) -> tuple[int | None, ...]:
        """The numbers of shots, one adapter each, rising; None, all images, is the last."""
        counts = self.shots if isinstance(self.shots, tuple) else (self.shots,)
        return tuple(sorted(counts, key=lambda shots: (shots is None, shots)))

    @property
    def draws(self) -> tuple[Draw, ...]:
        """What each adapter is drawn by, as far as the job alone says it: none where domains are left out."""
        if self.protocol == LEFT_OUT:
            return ()
        return tuple(Draw(seed, shots) for shots in self.shot_counts for seed in self.seeds)

    @property
    def several(self) -> bool:
        """Whether it makes more than one adapter."""
        return len(self.seeds) > 1 or len(self.shot_counts) > 1 or self.protocol == LEFT_OUT
    @property
    def validates(self) -> str:
        """What validation images choose, in words; "" where they are not used."""
        epoch = "" if self.train.select_epoch == LAST else "the epoch"
        return epoch or find_method(self.method).validates(self.settings)

    def check_targets(self, protocol: str) -> None:
        """InputError for targets that the protocol does not test on."""
        if self.targets and protocol not in WITH_TARGETS:
            raise InputError(
                f"targets: {protocol} tests on the task itself; leave them out, or use protocol "
                f"{' or '.join(WITH_TARGETS)}"
            )

    def tested(self, protocol: str) -> tuple[str | Task, ...]:
        """The tasks that the protocol tests on beside the job's own."""
        return default_targets(self.task_name, protocol) if self.targets is None else self.targets

    @property
    def kept(self) -> tuple[str | Task, ...]:
        """The tasks of the retention rows."""
        if self.retention is not None:
            return self.retention
        open_set = self.model_name in BUNDLED and find_method(self.method).novel != ""
        names = tuple(f"shapes:{name}" for name in RETENTION) if open_set else ()
        return tuple(name for name in names if name != self.task_name)


def _check_no_steps(method: str, settings: Mapping[str, Any]) -> None:
    """InputError for settings of steps that a method does not take."""
    used = {"precision"}
    for name in settings.keys() & {each.name for each in fields(TrainConfig)} - used:
        raise InputError(f"{name}: method {method} takes no training steps; leave it out")


def _several(given: str | Task | Iterable[str | Task] | None) -> tuple[str | Task, ...] | None:
    return None if given is None else (given,) if isinstance(given, (str, Task)) else tuple(given)


def _names(given: str | Iterable[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([given] if isinstance(given, str) else given or ()))


def _path(given: Any) -> Any:
    """A path of a text; a role map, or nothing, as it is."""
    return Path(given) if isinstance(given, (str, os.PathLike)) else given
