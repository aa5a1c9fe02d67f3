"""adapt(): from plain names, or objects, to adapters: open, train, evaluate and write, seed by seed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from headroles.adapt.data.task import Task
from headroles.adapt.jobs.job import MODEL, TASK, Job
from headroles.adapt.jobs.output import working_folder
from headroles.adapt.jobs.run import JobRun
from headroles.adapt.jobs.seed_run import Announce
from headroles.adapt.results.adapted import Adapted
from headroles.adapt.training.processes import join
from headroles.adapt.training.records import Step
from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.bars import Bar
from headroles.roles.role_map import RoleMap


@typed
def adapt(
    model: str | HookedCLIP = MODEL,
    task: str | Task = TASK,
    *,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    method: str = "dear",
    protocol: str | None = None,
    shots: int | Iterable[int | None] | None = 16,
    seeds: int | Iterable[int] = 1,
    targets: Iterable[str | Task] | None = None,
    retention: Iterable[str | Task] | None = None,
    root: str | os.PathLike[str] | None = None,
    template: str | None = None,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    strict: bool = False,
    log: str | Iterable[str] = (),
    progress: Announce | bool | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> Adapted:
    """Adapt a CLIP to a task from a few images a class: train, evaluate and write one adapter a seed.

    So many for each number of shots, where several are given, and for each domain that leave-one-domain-out leaves out.

    `model`: a CLIP, or what `load` takes. `task`, `targets`, `retention`: tasks, or what `open_task` takes with `root`
    and `template`. `role_map`: the map, its file or its folder; None for what `headroles score` left here or, for the
    bundled model, a new one; a method that needs none looks for none. `method`: one of `headroles.adapt.METHODS`.
    `protocol`: what is trained and tested (`headroles.adapt.results.protocols.PROTOCOLS`; None: base-to-novel, for data
    of one's own few-shot) from `shots` training images a class, None for all; of one's own data a class with fewer
    gives all that it has. `seeds`: one, or several. `targets`: what cross-dataset and domain-shift test on; None for
    what `headroles.adapt.results.protocols.default_targets` names; `retention`: where zero-shot accuracy is compared;
    None for those of the built-in world. `settings` are fields of TrainConfig and of the method's settings
    (`METHODS[method].settings`, for DeAR DearConfig).

    `output`: the adapter's folder, or that of the folders shots-N, without-DOMAIN and seed-N if there are several; None
    keeps the result in memory alone (`Adapted.save`). `resume` goes on there with a job that was stopped, whatever it
    was doing; `overwrite` replaces one. Every image is opened before any work: broken ones are left out and said, with
    `strict` refused.
    `progress` is called with the seed and a `Step` (None: a bar in a terminal or a notebook; False: none), `say` with
    each line that tells how all was read.
    `log`: csv, tensorboard, wandb, or several, for the training's numbers in the folder logs of the output.
    All mistakes that can be found without training are an InputError before anything is written over.
    """
    given = {"targets": targets, "retention": retention, "root": root, "role_map": role_map, "template": template}
    job = Job.of(settings, model, task, method=method, protocol=protocol, shots=shots, seeds=seeds, log=log, **given)
    if resume and output is None:
        raise InputError("resume: needs the job's folder; give output as well")
    if job.log and output is None:
        raise InputError("log: is written into the job's folder; give output as well")
    place = join(device)
    with working_folder(None if output is None else Path(output), job.draws) as folder:
        run = JobRun.open(job, folder, place, resume, overwrite, strict, say)
        with _bar_unless(progress) as announce:
            adapters = run.train(workers, announce)
        adapted = run.write(adapters, overwrite)
    return adapted if output is not None else dataclasses.replace(adapted, folders=())


@contextmanager
def _bar_unless(progress: Announce | bool | None) -> Iterator[Announce | None]:
    """`progress` itself, nothing for False, else a bar of the steps meanwhile, seed after seed."""
    if callable(progress) or progress is False:
        yield progress or None
        return
    with ExitStack() as stack:
        bars: dict[int, Bar] = {}

        def move(seed: int, step: Step) -> None:
            if seed not in bars:
                stack.close()
                bars[seed] = Bar(f"training, seed {seed}", "step")
                stack.callback(bars[seed].close)
            bars[seed](step.step, step.steps)

        yield move
