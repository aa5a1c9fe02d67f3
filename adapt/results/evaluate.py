"""evaluate(): what an adapter is worth beside the frozen CLIP, on its own task or on any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.looking import look_at_test
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.measuring import measure, measure_retention
from headroles.adapt.results.protocols import check_protocol, choose_protocol
from headroles.adapt.training.processes import is_main, join


def evaluate(
    adapter: str | os.PathLike[str] | Adapter | Adapted,
    task: str | Task | Iterable[str | Task] | None = None,
    protocol: str | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
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
    """
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    given = [] if task is None else [task] if isinstance(task, (str, Task)) else list(task)
    objects = {each.name: each for each in given if isinstance(each, Task)}

    def find(name: str, template: str | None = None) -> Task:
        return look_at_test(objects.get(name) or open_task(name, root, template), strict)

    names = [each.name if isinstance(each, Task) else each for each in given]
    chosen, own, others = choose_protocol(names, protocol, info)
    check_protocol(chosen)
    tasks = [find(name, info.template if name == info.task else None) for name in own]
    targets = [find(name) for name in others]
    kept = [] if names or chosen != info.protocol else [find(name) for name in info.retention]
    if not isinstance(found, Adapter):
        found = load_adapter(found, join(device), model)
    read = {each.name: each for each in (*tasks, *targets, *kept)}.values()
    for each in read:
        notes = check_told_apart(found.method.model, each.classes, each.template, each.own)
        if say and is_main() and (each.own or each.notes or notes or dry_run):
            for line in (each.summary, *each.notes, *notes):
                say(line)
    left_out = tuple(key for each in read for key in each.left_out)
    if dry_run:
        return Evaluation((), left_out=left_out)
    rows = [row for each in tasks for row in measure(found.method, each, chosen, info.seed, targets, batch, workers)]
    rows += measure_retention(found.method, kept, info.seed, batch, workers)
    return Evaluation(tuple(rows), left_out=left_out)
