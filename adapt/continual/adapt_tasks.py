"""adapt_tasks(): several tasks one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from headroles.adapt.continual.result import Continual
from headroles.adapt.continual.run import ContinualRun
from headroles.adapt.continual.ways import MERGINGS, WAYS, check_tasks, check_ways
from headroles.adapt.data.task import Task
from headroles.adapt.jobs.job import MODEL, Job
from headroles.adapt.jobs.output import working_folder
from headroles.adapt.jobs.seed_run import Announce
from headroles.adapt.merging.config import MergeConfig
from headroles.adapt.training.processes import join
from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


@typed
def adapt_tasks(
    model: str | HookedCLIP = MODEL,
    tasks: Sequence[str | Task] = (),
    *,
    continual: str | Iterable[str] = WAYS,
    merging: Sequence[MergeConfig] = MERGINGS,
    drift_images: int = 64,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    method: str = "dear",
    shots: int | Iterable[int | None] | None = 16,
    seeds: int | Iterable[int] = 1,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    strict: bool = False,
    log: str | Iterable[str] = (),
    progress: Announce | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> Continual:
    """Adapt a CLIP to several tasks one after the other, and test every adapter on all classes of all of them.

    `tasks`: two or more, in the order of training. `continual`: "sequential" (one adapter, each training goes on from
    the last one's tensors), "separate" (one a task), "merged" (one a task, and all so far merged by each of `merging`).
    `drift_images`: test images of each task over which the heads' drift is measured; 0: it is not. The rest as in
    `headroles.adapt.adapt`; classes are known by their texts, so that an adapter can be asked for any task's.

    `output`: the folder of the result and, below it, of all adapters; None: the numbers alone. All mistakes that can
    be found without training are an InputError before anything is written over.
    """
    ways = (continual,) if isinstance(continual, str) else tuple(continual)
    given = [tasks] if isinstance(tasks, (str, Task)) else list(tasks)
    check_tasks([each.name if isinstance(each, Task) else str(each) for each in given])
    check_ways(method, ways, merging)
    if drift_images < 0:
        raise InputError(f"drift_images must be at least 0, got {drift_images}")
    plain = {"root": root, "role_map": role_map, "shots": shots, "protocol": "few-shot", "retention": ()}
    numbers = (seeds,) if isinstance(seeds, int) else tuple(seeds)
    jobs = [Job.of(settings, model, each, method=method, seeds=numbers, log=log, **plain) for each in given]
    if len(jobs[0].shot_counts) > 1:
        raise InputError(f"shots: several tasks take one number of shots, got {jobs[0].shot_counts}")
    if resume and output is None:
        raise InputError("resume: needs the job's folder; give output as well")
    if jobs[0].log and output is None:
        raise InputError("log: is written into the job's folder; give output as well")
    place = join(device)
    with working_folder(None if output is None else Path(output), ()) as folder:
        options: dict[str, Any] = {"drift_images": drift_images, "workers": workers, "strict": strict}
        options |= {"resume": resume, "overwrite": overwrite, "progress": progress, "say": say}
        return ContinualRun.open(jobs, ways, merging, folder, place, **options).run()
