"""The tasks of a job; all are opened before the model is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headroles.adapt.data.looking import leave_out, look, look_at_test
from headroles.adapt.data.reading import describe_model
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.jobs.job import Job
from headroles.adapt.methods.registry import find_method
from headroles.adapt.methods.training_data import TrainingData
from headroles.adapt.results.protocols import WITH_TARGETS
from headroles.adapt.training.validation import check_validation
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class JobTasks:
    """What a job trains and tests on."""

    task: Task
    """The job's own, whole."""
    trained: dict[int, Task]
    """Seed -> the task with this seed's shots and the classes that training sees."""
    targets: tuple[Task, ...]
    """What cross-dataset and domain-shift test on."""
    retention: tuple[Task, ...]
    """What the retention rows are of."""
    protocol: str
    """The job's, or the task's default."""
    validates: str = ""
    """What validation images choose, in words; "": nothing."""
    shots: int | None = None
    """Training images a class that were asked for; None: all of them."""

    @classmethod
    def open(cls, job: Job, strict: bool = False) -> JobTasks:
        """InputError where a task cannot be read, is too small, or lacks. Every image is looked at (`look`)."""
        task = job.task if isinstance(job.task, Task) else open_task(job.task, job.root, job.template)
        protocol = job.protocol or (task.default_protocol if find_method(job.method).novel else "few-shot")
        job.check_targets(protocol)
        if protocol in WITH_TARGETS and not job.tested(protocol):
            raise InputError(f"targets: {protocol} of {job.task_name} needs tasks to test on; give --targets a,b")
        if protocol == "base-to-novel":
            task.halves()
        task, few = _draw(task, job, strict)
        trained = {seed: each.halves()[0] if protocol == "base-to-novel" else each for seed, each in few.items()}
        for each in trained.values():
            check_validation(each, job.train)
        targets, kept = (
            tuple(look_at_test(each if isinstance(each, Task) else open_task(each, job.root), strict) for each in some)
            for some in (job.tested(protocol), job.kept)
        )
        return cls(task, trained, targets, kept, protocol, job.validates, job.shots)

    @property
    def reading(self) -> tuple[str, ...]:
        """How all was read, a line each: classes, counts and split, what is trained on, what is odd or was left out."""
        trained = next(iter(self.trained.values()))
        lines = [self.task.summary, *dict.fromkeys((*self.task.notes, *trained.notes)), self._say_trained(trained)]
        for other in (*self.targets, *self.retention):
            if other.own:
                lines += [f"{other.summary}", *other.notes]
        return tuple(lines)

    @property
    def all(self) -> tuple[Task, ...]:
        """The job's own, and the others that it tests on, each once."""
        return tuple({each.name: each for each in (self.task, *self.targets, *self.retention)}.values())

    def data_of(self, seed: int) -> TrainingData:
        """What a seed trains on."""
        trained = self.trained[seed]
        return TrainingData(self.task.name, len(trained.classes), len(trained.train), self.shots, self.protocol)

    def follow(self, job: Job) -> tuple[str, ...]:
        """Lines that say how the method's preset follows what each seed trains on, each once."""
        return tuple(dict.fromkeys(line for seed in self.trained for line in job.follow(self.data_of(seed))[1]))

    def check_classes(self, clip: HookedCLIP) -> tuple[str, ...]:
        """How the model reads texts and images, and notes on names that it does not know, a line each.

        InputError where it cannot tell classes apart.
        """
        notes = [check_told_apart(clip, each.classes, each.template, each.own) for each in self.all]
        return (describe_model(clip), *dict.fromkeys(note for some in notes for note in some))

    def _say_trained(self, trained: Task) -> str:
        seen, every = len(trained.classes), len(self.task.classes)
        names = f": {', '.join(trained.classes)}" if seen < every else ""
        chosen = f"; {len(trained.val)} validation images choose {self.validates}"
        val = "" if not trained.val else chosen if self.validates else "; validation images are not used"
        return f"{self.protocol}: trained on {len(trained.train)} images of {seen} of {every} classes{names}{val}"


def _draw(task: Task, job: Job, strict: bool) -> tuple[Task, dict[int, Task]]:
    """The task, and what every seed draws of it, without broken images.

    Of one's own data all images are looked at, before shots are drawn; of a benchmark those that are drawn and tested.
    """
    if task.own:
        task = look(task, strict)
    few = {seed: task if job.shots is None else task.few_shot(job.shots, seed) for seed in job.seeds}
    if task.own:
        return task, few
    drawn, checked = ({e.key: e for each in few.values() for e in getattr(each, split)} for split in ("train", "val"))
    val = tuple(checked.values()) if job.validates else ()
    seen = look(replace(task, train=tuple(drawn.values()), val=val), strict)
    few = {seed: leave_out(each, seen.left_out) for seed, each in few.items()}
    whole = leave_out(task, seen.left_out)
    return replace(whole, notes=seen.notes, left_out=seen.left_out), few
