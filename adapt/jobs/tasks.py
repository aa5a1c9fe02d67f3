"""The tasks of a job; all are opened before the model is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headroles.adapt.adapter.folders import Draw
from headroles.adapt.data.domains import check_domains, keep_domain, leave_domain_out
from headroles.adapt.data.looking import leave_out, look, look_at_test
from headroles.adapt.data.reading import describe_model
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.jobs.job import Job
from headroles.adapt.methods.registry import find_method
from headroles.adapt.methods.training_data import TrainingData
from headroles.adapt.results.protocols import HALVED, LEFT_OUT, WITH_TARGETS
from headroles.adapt.training.validation import check_validation
from headroles.errors import InputError, told_as
from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class JobTasks:
    """What a job trains and tests on."""

    task: Task
    """The job's own, whole."""
    trained: dict[Draw, Task]
    """Of every training the task with its shots, and the classes and domains that it sees."""
    targets: tuple[Task, ...]
    """What cross-dataset and domain-shift test on."""
    retention: tuple[Task, ...]
    """What the retention rows are of."""
    protocol: str
    """The job's, or the task's default."""
    validates: str = ""
    """What validation images choose, in words; "": nothing."""

    @classmethod
    def open(cls, job: Job, strict: bool = False) -> JobTasks:
        """InputError where a task cannot be read, is too small, or lacks. Every image is looked at (`look`)."""
        task = _open(job)
        protocol = job.protocol or (task.default_protocol if find_method(job.method).novel else "few-shot")
        job.check_targets(protocol)
        if protocol in WITH_TARGETS and not job.tested(protocol):
            raise InputError(f"targets: {protocol} of {job.task_name} needs tasks to test on; give --targets a,b")
        if protocol in HALVED:
            task.halves()
        domains = check_domains(task) if protocol == LEFT_OUT else ()
        task, few = _draw(task, job, strict, bool(domains))
        trained = {
            Draw(seed, shots, held_out): _see(few[seed, shots], protocol, held_out)
            for shots in job.shot_counts
            for held_out in domains or ("",)
            for seed in job.seeds
        }
        for each in trained.values():
            check_validation(each, job.train)
        with told_as("targets", "task"):
            targets = tuple(look_at_test(each, strict) for each in _open_targets(job, protocol))
        with told_as("retention", "task"):
            kept = tuple(look_at_test(_open_other(each, job), strict) for each in job.kept)
        return cls(task, trained, targets, kept, protocol, job.validates)

    @property
    def reading(self) -> tuple[str, ...]:
        """How all was read, a line each: classes, counts and split, what is trained on, what is odd or was left out."""
        notes = (note for each in (self.task, *self.trained.values()) for note in each.notes)
        said = dict.fromkeys(self._say_trained(draw) for draw in self.trained)
        lines = [self.task.summary, *dict.fromkeys(notes), *said]
        for other in (*self.targets, *self.retention):
            if other.own:
                lines += [f"{other.summary}", *other.notes]
        return tuple(lines)

    def tested(self, draw: Draw) -> tuple[Task, ...]:
        """What a training is tested on."""
        left_out = {self.task.name: keep_domain(self.task, draw.held_out)} if draw.held_out else {}
        return tuple(left_out.get(each.name, each) for each in self.all)

    @property
    def all(self) -> tuple[Task, ...]:
        """The job's own, and the others that it tests on, each once."""
        return tuple({each.name: each for each in (self.task, *self.targets, *self.retention)}.values())

    def data_of(self, draw: Draw) -> TrainingData:
        """What a training is on."""
        trained = self.trained[draw]
        return TrainingData(self.task.name, len(trained.classes), len(trained.train), draw.shots, self.protocol)

    def follow(self, job: Job) -> tuple[str, ...]:
        """Lines that say how the method's preset follows what each training is on, each once."""
        return tuple(dict.fromkeys(line for draw in self.trained for line in job.follow(self.data_of(draw))[1]))

    def check_classes(self, clip: HookedCLIP) -> tuple[str, ...]:
        """How the model reads texts and images, and notes on names that it does not know, a line each.

        InputError where it cannot tell classes apart.
        """
        notes = [check_told_apart(clip, each.classes, each.template, each.own) for each in self.all]
        return (describe_model(clip), *dict.fromkeys(note for some in notes for note in some))

    def _say_trained(self, draw: Draw) -> str:
        trained = self.trained[draw]
        without = f", without domain {draw.held_out}" if draw.held_out else ""
        seen, every = len(trained.classes), len(self.task.classes)
        names = f": {', '.join(trained.classes)}" if seen < every else ""
        chosen = f"; {len(trained.val)} validation images choose {self.validates}"
        val = "" if not trained.val else chosen if self.validates else "; validation images are not used"
        images = f"{len(trained.train)} images of {seen} of {every} classes"
        return f"{self.protocol}: trained on {images}{names}{without}{val}"


def _open(job: Job) -> Task:
    if isinstance(job.task, Task):
        return job.task
    return open_task(job.task, job.root, job.template, domains=job.protocol == LEFT_OUT)


def _open_other(task: str | Task, job: Job) -> Task:
    return task if isinstance(task, Task) else open_task(task, job.root)


def _open_targets(job: Job, protocol: str) -> tuple[Task, ...]:
    try:
        return tuple(_open_other(each, job) for each in job.tested(protocol))
    except InputError as error:
        if job.targets is not None:
            raise
        raise InputError(f"{error}; or name the tasks to test on: --targets a,b") from error


def _see(few: Task, protocol: str, held_out: str) -> Task:
    """What a training sees of a task."""
    if held_out:
        return leave_domain_out(few, held_out)
    return few.halves()[0] if protocol in HALVED else few


def _draw(task: Task, job: Job, strict: bool, each_domain: bool) -> tuple[Task, dict[tuple[int, int | None], Task]]:
    """The task, and what every seed draws of it for every number of shots, without broken images.

    Of one's own data all images are looked at, before shots are drawn; of a benchmark those that are drawn and tested.
    """
    if task.own:
        task = look(task, strict)
    few = {
        (seed, shots): task if shots is None else task.few_shot(shots, seed, each_domain)
        for shots in job.shot_counts
        for seed in job.seeds
    }
    if task.own:
        return task, few
    drawn, checked = ({e.key: e for each in few.values() for e in getattr(each, split)} for split in ("train", "val"))
    val = tuple(checked.values()) if job.validates else ()
    seen = look(replace(task, train=tuple(drawn.values()), val=val), strict)
    few = {drawn: leave_out(each, seen.left_out) for drawn, each in few.items()}
    whole = leave_out(task, seen.left_out)
    return replace(whole, notes=seen.notes, left_out=seen.left_out), few
