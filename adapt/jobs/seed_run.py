"""SeedRun: one training of a job, from an empty folder to an adapter."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.folders import Draw
from headroles.adapt.adapter.info import METRICS, AdapterInfo
from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.methods.registry import find_method
from headroles.adapt.metrics import Measure
from headroles.adapt.results.measuring import measure, measure_retention
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.cost import Cost, metering
from headroles.adapt.training.fingerprint import fingerprint
from headroles.adapt.training.log import FOLDER, TrainingLog, place_logs
from headroles.adapt.training.processes import is_main, on_main
from headroles.adapt.training.records import EpochRecord, Step
from headroles.adapt.training.train import fit
from headroles.errors import InputError
from headroles.files.differences import difference, tell_difference
from headroles.files.run_file import write_run
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

Announce = Callable[[int, Step], None]
"""Called with the seed and where its training is."""
_RESULTS = ("task", "reading", "epoch", "validation", "headroles_version")
"""Fields of an adapter's info that two runs of the same job may have apart, or that only its end knows."""


@dataclass
class SeedRun:
    """One training of a job: `begin` marks its folder, `finish` trains, evaluates and writes."""

    job: Job
    clip: HookedCLIP
    role_map: RoleMap | None
    tasks: JobTasks
    draw: Draw
    """Its seed and shots, and the domain that it leaves out."""
    folder: Path
    """Where its adapter goes."""
    begun: Adapter | None = None
    """The adapter whose tensors the training goes on from; None: it begins anew."""
    cost: Cost | None = None
    """What its training took, once it was trained here."""

    def __post_init__(self) -> None:
        job, _ = self.job.follow(self.tasks.data_of(self.draw))
        self.settings = dataclasses.replace(job.train, seed=self.draw.seed)
        self.trained = self.tasks.trained[self.draw]
        kind = find_method(self.job.method)
        self.method = kind(self.clip, self.role_map, self.job.settings, self.draw.seed, self.trained.classes)
        if self.begun is not None:
            self.method.take_up(self.begun.method.state_dict(), self.begun.weights_sha256)

    def describe(self, history: tuple[EpochRecord, ...] = ()) -> AdapterInfo:
        """What will be written into the adapter, before or after its training."""
        return AdapterInfo.of(
            self.method,
            self.tasks.task,
            self.settings,
            trained=self.trained,
            protocol=self.tasks.protocol,
            shots=self.draw.shots,
            held_out=self.draw.held_out,
            targets=[target.name for target in self.tasks.targets],
            retention=[other.name for other in self.tasks.retention],
            read=self.tasks.all,
            history=history,
        )

    @property
    def over(self) -> bool:
        """Whether all that it makes is there, once it has begun."""
        return not Checkpoint(self.folder).unfinished

    def begin(self, resume: bool) -> None:
        """Mark the folder as begun; InputError where `resume` finds something else there."""
        checkpoint = Checkpoint(self.folder)
        if resume and not checkpoint.unfinished and (self.folder / METRICS).exists():
            self._compare(AdapterInfo.load(self.folder))
            return
        settings = fingerprint(self.method, self.trained, self.settings)
        checkpoint.begin(settings, self.role_map, resume)

    def note_asked(self) -> None:
        """Keep what was asked for beside the unfinished training, so that a job that is killed can go on by it."""
        checkpoint = Checkpoint(self.folder)
        if checkpoint.unfinished:
            write_run(checkpoint.folder, keep=True)

    def _compare(self, old: AdapterInfo) -> None:
        """InputError where what is done is something else; a task is the same by its content, however it is spelled."""
        new = self.describe()
        found = difference(old.method, new.method, "method") or difference(_settings(old), _settings(new))
        if found:
            raise InputError(
                f"resume: {self.folder} was made with {tell_difference(*found)}; start anew with --overwrite or "
                "another --output"
            )

    def finish(self, workers: int, progress: Announce | None) -> Adapter:
        """Train, evaluate and write, unless that is done."""
        if self.over:
            return load_adapter(self.folder, model=self.clip)
        with self._open_log() as log:
            on_main(log.begin)
            history = self._train(workers, progress, log)
            measures = self._evaluate(workers)
            log.test(len(history) * math.ceil(len(self.trained.train) / self.settings.batch), measures)
        adapter = Adapter(self.method, self.describe(history), measures, history)
        on_main(lambda: place_logs(Checkpoint(self.folder).folder, self.folder))
        on_main(lambda: adapter.save(self.folder))
        return adapter

    def _open_log(self) -> TrainingLog:
        """Where the numbers go; the main process alone has any."""
        info = self.describe()
        settings = {"method": info.method, "task": info.task, "seed": info.seed, "protocol": info.protocol}
        settings |= {"model": info.base_model_name_or_path, "shots": info.shots, "held_out": info.held_out}
        settings |= info.train.to_dict()
        names = self.job.log if is_main() else ()
        label = f"{info.method} {info.task} {self.draw.words}"
        return TrainingLog(Checkpoint(self.folder).folder / FOLDER, names, label, settings | info.settings.to_dict())

    def _train(self, workers: int, progress: Announce | None, log: TrainingLog) -> tuple[EpochRecord, ...]:
        def say(step: Step) -> None:
            log.step(step)
            cost.done, cost.steps = cost.done + 1, step.steps
            if progress and is_main():
                progress(self.draw.seed, step)

        settings = self.settings
        epochs = f", {settings.epochs} epochs" if self.method.steps else ", no steps"
        _tell(f"{self.draw.words}: training on {len(self.trained.train):,} images{epochs}")
        with metering(self.method.device) as cost:
            cost.steps = int(self.method.steps)
            history = fit(self.method, self.trained, settings, self.folder, resume=True, workers=workers, progress=say)
        self.cost = cost
        return history

    def _evaluate(self, workers: int) -> tuple[Measure, ...]:
        tasks, draw = self.tasks, self.draw
        _tell(f"{draw.words}: testing on {sum(len(task.test) for task in tasks.tested(draw)):,} images")
        shared: dict[str, Any] = {"workers": workers, "shots": draw.shots}
        place = (tasks.task, tasks.protocol, draw.seed, tasks.targets)
        own = measure(self.method, *place, held_out=draw.held_out, **shared)
        return (*own, *measure_retention(self.method, tasks.retention, draw.seed, **shared))


def _tell(line: str) -> None:
    """Say what begins, to whoever listens to `LOG`: it can take long."""
    if is_main():
        LOG.info(line)


def _settings(info: AdapterInfo) -> dict[str, Any]:
    """What two adapters of the same job share."""
    plain: dict[str, Any] = json.loads(info.to_json())
    return {name: value for name, value in plain.items() if name not in _RESULTS}
