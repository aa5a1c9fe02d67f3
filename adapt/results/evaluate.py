"""evaluate(): what an adapter is worth beside the frozen CLIP, on its own task or on any other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.looking import look_at_test
from headroles.adapt.data.reading import describe_model, record_reading
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.metrics import average_halves
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.measuring import measure, measure_retention
from headroles.adapt.results.own_task import find_differences, is_own, own_halves
from headroles.adapt.results.protocols import HALVED, LEFT_OUT, check_protocol, choose_protocol
from headroles.adapt.results.tested import TestedImage
from headroles.adapt.training.processes import is_main, join
from headroles.checks import typed
from headroles.errors import InputError
from headroles.images.prompts import check_named
from headroles.models.hooked_clip import HookedCLIP


@typed
def evaluate(
    adapter: str | os.PathLike[str] | Adapter | Adapted,
    task: str | Task | Iterable[str | Task] | None = None,
    protocol: str | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    template: str | None = None,
    images: bool = False,
    model: str | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
    strict: bool = False,
    say: Callable[[str], None] | None = None,
    dry_run: bool = False,
) -> Evaluation:
    """The rows of an adapter, its folder or what `load_adapter` gives, on tasks or their names (`open_task`).

    Without `task` and `protocol`: all that its metrics.json holds. With tasks alone: all classes of each
    (cross-dataset), or, where all are shifts of the adapter's own task, domain-shift. The latter takes the first task
    as the one that is shifted and the others as its shifts. `root` is that of `open_task`; `model` and `device` say
    where the model of a folder's adapter is and runs, as in `load_adapter`. Every image is opened first: broken ones
    are left out, with `strict` refused. `say` is called with the lines that tell how the tasks were read;
    `dry_run` stops then, without rows.

    The adapter's own task is known by its content, wherever it lies: it has the adapter's template and its base and
    novel classes, and what is different from the training's is in the result's `notes`. `template`, which holds {} for
    the class, one a line, replaces that of all tasks. `images`: keep every tested image too (`Evaluation.tested`).
    """
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    given = [] if task is None else [task] if isinstance(task, (str, Task)) else list(task)
    objects = {each.name: each for each in given if isinstance(each, Task)}

    def find(name: str, domains: bool = False) -> Task:
        opened = look_at_test(objects.get(name) or _open(name, root, info, domains), strict)
        given = template or (info.template if name not in objects and is_own(info, opened) else opened.template)
        if template:
            check_named(template, opened.classes)
        return dataclasses.replace(opened, template=given)

    names = [each.name if isinstance(each, Task) else each for each in given]
    chosen, own, others = choose_protocol(names, protocol, info)
    check_protocol(chosen)
    if chosen == LEFT_OUT and not info.held_out:
        raise InputError(
            f"protocol: {chosen} tests the domain that a training left out; this one left out none: adapt with it, or "
            "test with --protocol few-shot"
        )
    tasks = [find(name, chosen == LEFT_OUT) for name in own]
    targets = [find(name) for name in others]
    kept = [] if names or chosen != info.protocol else [find(name) for name in info.retention]
    if not isinstance(found, Adapter):
        found = load_adapter(found, join(device), model)
    read = list({each.name: each for each in (*tasks, *targets, *kept)}.values())
    _announce(read, found.method.model, say, dry_run)
    left_out = tuple(key for each in read for key in each.left_out)
    mine = [each for each in read if is_own(info, each)]
    reading = record_reading(found.method.model, read)
    if dry_run:
        return Evaluation((), left_out=left_out, notes=_notes(info, mine), reading=reading)
    halves = {each.name: own_halves(info, each) for each in mine if chosen in HALVED}
    tested: list[TestedImage] | None = [] if images else None
    shared: dict[str, Any] = {"batch": batch, "workers": workers, "shots": info.shots, "tested": tested}
    rows = []
    for each in tasks:
        more = {**shared, "halves": halves.get(each.name), "held_out": info.held_out}
        rows += measure(found.method, each, chosen, info.seed, targets, **more)
    rows += average_halves(rows) if chosen in HALVED else []
    rows += measure_retention(found.method, kept, info.seed, **shared)
    return Evaluation(
        tuple(rows),
        left_out=left_out,
        notes=_notes(info, mine),
        reading=reading,
        tested=tuple(tested or ()),
    )


def _announce(tasks: Iterable[Task], model: HookedCLIP, say: Callable[[str], None] | None, always: bool) -> None:
    """Say how model and tasks are read, `always` also of built-in ones; InputError where the model confuses classes."""
    for each in tasks:
        notes = check_told_apart(model, each.classes, each.template, each.own)
        if say and is_main() and (each.own or each.notes or notes or always):
            for line in (each.summary, *each.notes, *notes):
                say(line)
    if say and is_main():
        say(describe_model(model))


def _notes(info: AdapterInfo, tasks: Iterable[Task]) -> tuple[str, ...]:
    """What is not as the adapter remembers its own task."""
    return tuple(f"{each.name}: {note}" for each in tasks for note in find_differences(info, each))


def _open(name: str, root: str | os.PathLike[str] | None, info: AdapterInfo, domains: bool) -> Task:
    try:
        return open_task(name, root, domains=domains)
    except InputError as error:
        if name != info.task:
            raise
        raise InputError(
            f"{error}; it is the adapter's own task: where it has moved to, say --task PLACE --protocol {info.protocol}"
        ) from error
