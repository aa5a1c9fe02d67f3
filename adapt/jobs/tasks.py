"""The tasks of a job; all are opened before the model is."""

from __future__ import annotations

from dataclasses import dataclass

from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.jobs.job import Job
from headroles.adapt.results.protocols import WITH_TARGETS
from headroles.errors import InputError


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

    @classmethod
    def open(cls, job: Job) -> JobTasks:
        """InputError where a task cannot be read, is too small, or lacks."""
        if job.protocol in WITH_TARGETS and not job.tested:
            raise InputError(f"targets: {job.protocol} of {job.task_name} needs tasks to test on; give --targets a,b")
        task = job.task if isinstance(job.task, Task) else open_task(job.task, job.root, job.template)
        few = {seed: task if job.shots is None else task.few_shot(job.shots, seed) for seed in job.seeds}
        halve = job.protocol == "base-to-novel"
        trained = {seed: each.halves()[0] if halve else each for seed, each in few.items()}
        targets, kept = (
            tuple(each if isinstance(each, Task) else open_task(each, job.root) for each in some)
            for some in (job.tested, job.kept)
        )
        return cls(task, trained, targets, kept)
