"""evaluate(): what an adapter is worth beside the frozen CLIP, on its own task or on any other."""

from __future__ import annotations

import os
from collections.abc import Iterable

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.measuring import measure, measure_retention
from headroles.adapt.results.protocols import choose_protocol
from headroles.adapt.training.processes import join


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
) -> Evaluation:
    """The rows of an adapter, its folder or what `load_adapter` gives, on tasks or their names (`open_task`).

    Without `task` and `protocol`: all that its metrics.json holds. With tasks alone: all classes of each
    (cross-dataset), or, where all are shifts of the adapter's own task, domain-shift. The latter takes the first task
    as the one that is shifted and the others as its shifts. `root` is that of `open_task`; `model` and `device` say
    where the model of a folder's adapter is and runs, as in `load_adapter`.
    """
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    given = [] if task is None else [task] if isinstance(task, (str, Task)) else list(task)
    objects = {each.name: each for each in given if isinstance(each, Task)}

    def find(name: str, template: str | None = None) -> Task:
        return objects.get(name) or open_task(name, root, template)

    names = [each.name if isinstance(each, Task) else each for each in given]
    chosen, own, others = choose_protocol(names, protocol, info)
    tasks = [find(name, info.template if name == info.task else None) for name in own]
    targets = [find(name) for name in others]
    kept = [] if names or chosen != info.protocol else [find(name) for name in info.retention]
    if not isinstance(found, Adapter):
        found = load_adapter(found, join(device), model)
    rows = [row for each in tasks for row in measure(found.method, each, chosen, info.seed, targets, batch, workers)]
    return Evaluation((*rows, *measure_retention(found.method, kept, info.seed, batch, workers)))
