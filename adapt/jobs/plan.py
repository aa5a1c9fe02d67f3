"""plan(): how a job would be read, without training anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headroles.adapt.data.task import Task
from headroles.adapt.jobs.job import MODEL, TASK, Job
from headroles.adapt.jobs.output import check_apart, check_output
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.methods.registry import find_method
from headroles.checks import typed
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load


@typed
def plan(
    model: str | HookedCLIP = MODEL,
    task: str | Task = TASK,
    *,
    method: str = "dear",
    protocol: str | None = None,
    shots: int | Iterable[int | None] | None = 16,
    seeds: int | Iterable[int] = 1,
    targets: Iterable[str | Task] | None = None,
    retention: Iterable[str | Task] | None = None,
    root: str | os.PathLike[str] | None = None,
    template: str | None = None,
    device: str = "auto",
    strict: bool = False,
    log: str | Iterable[str] = (),
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    **settings: Any,
) -> tuple[str, ...]:
    """What `adapt` says before it trains, a line each: classes, images of each split, how they were split, what is odd.

    Takes what `adapt` takes; an `output` that it would refuse is refused. Nothing is trained or written. Raises
    InputError where the job cannot work.
    """
    given = {"targets": targets, "retention": retention, "root": root, "template": template}
    job = Job.of(settings, model, task, method=method, protocol=protocol, shots=shots, seeds=seeds, log=log, **given)
    if output is not None:
        check_output(Path(output), resume, overwrite, job.several, bool(job.log))
        check_apart(job, Path(output))
    tasks = JobTasks.open(job, strict)
    clip = job.model if isinstance(job.model, HookedCLIP) else load(job.model, device)
    find_method(job.method).check_model(clip)
    return (*tasks.reading, *tasks.follow(job), *tasks.check_classes(clip))
