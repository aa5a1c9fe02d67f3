"""What an adapter is worth: accuracies beside the frozen CLIP's, by protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from headroles.adapt.adapter import AdapterInfo, load_adapter
from headroles.adapt.data.tasks import Example, Task, TaskImages, open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.metrics import Accuracy, Measure, harmonic_mean, with_mean
from headroles.adapt.training.processes import add_up, share
from headroles.errors import InputError
from headroles.shapes.tasks import RETENTION, TASKS, find_task

PROTOCOLS = {
    "base-to-novel": "train on the first half of the classes; test on both halves and their harmonic mean",
    "few-shot": "train and test on all classes",
    "cross-dataset": "train on all classes; test on other tasks, zero-shot",
    "domain-shift": "train on all classes; test on the same classes in other renderings",
}
"""Name -> what it measures."""
WITH_TARGETS = ("cross-dataset", "domain-shift")
"""The protocols that test on other tasks."""


@torch.inference_mode()
def compare(
    dear: Dear, task: Task, examples: Sequence[Example], batch: int = 64, workers: int = 0
) -> tuple[Accuracy, Accuracy]:
    """Accuracy of the frozen CLIP (zero-shot) and of the adapted one, in one pass that shares the trunk.

    Under several processes each takes its share of the examples.
    """
    if not examples:
        raise InputError(f"task: {task.name} has no test images")
    images = TaskImages(share(examples), dear.model.processor, False, 0, 0)
    text = dear.text_trunk(task.prompts)
    texts = dear.encode_texts(text)
    counts = torch.zeros(3, len(task.classes), dtype=torch.long, device=dear.device)
    for _, pixels, labels in DataLoader(images, batch_size=batch, num_workers=workers):
        trunk, labels = dear.image_trunk(pixels), labels.to(dear.device)
        guesses = (dear.frozen_images(trunk) @ text.frozen.T, dear.logits(dear.encode_images(trunk), texts))
        hits = [labels[logits.argmax(-1) == labels] for logits in guesses]
        counts += torch.stack([part.bincount(minlength=len(task.classes)) for part in (*hits, labels)])
    *rights, total = add_up(counts).tolist()
    frozen, adapted = (Accuracy(task.classes, tuple(right), tuple(total)) for right in rights)
    return frozen, adapted


def evaluate_adapter(
    folder: Path,
    tasks: Sequence[str] = (),
    protocol: str | None = None,
    *,
    root: Path | None = None,
    model: str | None = None,
    device: str = "auto",
    **options: int,
) -> list[Measure]:
    """The rows of an adapter folder, by names as `open_task` takes them.

    Without `tasks` and `protocol`: all that its metrics.json holds. With `tasks` alone: all classes of each
    (cross-dataset), or, where all are shifts of the adapter's own task, domain-shift. The latter takes the first task
    as the one that is shifted and the others as its shifts. `root` and `model` are those of `open_task` and
    `load_adapter`, `options` are batch and workers.
    """
    info = AdapterInfo.load(folder)
    own = protocol in (None, info.protocol) and not tasks
    protocol, names, targets = choose_protocol(list(tasks), protocol, info)
    opened = [open_task(name, root, info.template if name == info.task else None) for name in names]
    others = [open_task(name, root) for name in targets]
    kept = [open_task(name, root) for name in info.retention] if own else []
    dear = load_adapter(folder, device, model)
    rows = [row for task in opened for row in evaluate(dear, task, protocol, info.seed, others, **options)]
    return rows + retention(dear, kept, info.seed, **options)


def choose_protocol(tasks: list[str], protocol: str | None, info: AdapterInfo) -> tuple[str, list[str], list[str]]:
    """The protocol that `evaluate_adapter` follows, which tasks it runs over, and the targets of each."""
    if tasks and protocol is None:
        shifts = all(task.startswith(f"{info.task}@") for task in tasks)
        tasks, protocol = ([info.task, *tasks], "domain-shift") if shifts else (tasks, "cross-dataset")
    protocol = protocol or info.protocol
    return protocol, *_divide(tasks, info, protocol)


def _divide(tasks: list[str], info: AdapterInfo, protocol: str) -> tuple[list[str], list[str]]:
    if protocol == "cross-dataset":
        return [info.task], tasks or list(info.targets or default_targets(info.task, protocol))
    if protocol == "domain-shift":
        first, *rest = tasks or [info.task]
        known = info.targets if first == info.task and info.protocol == protocol else ()
        return [first], rest or list(known or default_targets(first, protocol))
    return tasks or [info.task], []


def default_targets(task: str, protocol: str) -> tuple[str, ...]:
    """The tasks that a protocol tests a built-in task on where nothing is named: its shifts, or its peers."""
    kind, _, name = task.partition(":")
    if kind != "shapes":
        return ()
    if protocol == "domain-shift":
        return tuple(f"{task}@{shift}" for shift in find_task(name).shifts)
    peers = (other for other in TASKS if other not in (name, *RETENTION)) if protocol == "cross-dataset" else ()
    return tuple(f"shapes:{other}" for other in peers)


def evaluate(
    dear: Dear, task: Task, protocol: str, seed: int, targets: Sequence[Task] = (), batch: int = 64, workers: int = 0
) -> list[Measure]:
    """The rows of a protocol.

    base-to-novel and few-shot test on `task` itself; cross-dataset on `targets`; domain-shift on the task and on
    `targets` (its other renderings). Several targets get a row "mean" too.
    """
    options = {"batch": batch, "workers": workers}
    if protocol == "base-to-novel":
        halves = zip(("base", "novel"), task.halves(), strict=True)
        base, novel = (_measure(dear, half, seed, protocol, part, task.name, **options) for part, half in halves)
        return [base, novel, _join(base, novel)]
    if protocol == "few-shot":
        return [_measure(dear, task, seed, protocol, **options)]
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if not targets:
        raise InputError(f"targets: {protocol} of {task.name} needs tasks to test on; name them, such as a,b")
    own = [_measure(dear, task, seed, protocol, **options)] if protocol == "domain-shift" else []
    return own + with_mean([_measure(dear, target, seed, protocol, **options) for target in targets])


def retention(dear: Dear, tasks: Sequence[Task], seed: int, batch: int = 64, workers: int = 0) -> list[Measure]:
    """What the adapted CLIP still knows: zero-shot accuracy on other tasks, all classes, beside the frozen CLIP's."""
    return with_mean([_measure(dear, task, seed, "retention", batch=batch, workers=workers) for task in tasks])


def _measure(
    dear: Dear, task: Task, seed: int, protocol: str, part: str = "all", name: str = "", **options: int
) -> Measure:
    frozen, adapted = compare(dear, task, task.test, **options)
    per_class = {"zero_shot": frozen.per_class, "adapted": adapted.per_class}
    images = sum(frozen.total)
    return Measure(seed, protocol, name or task.name, part, images, frozen.mean, adapted.mean, per_class)


def _join(base: Measure, novel: Measure) -> Measure:
    means = [harmonic_mean(getattr(base, name), getattr(novel, name)) for name in ("zero_shot", "adapted")]
    return Measure(base.seed, base.protocol, base.task, "hm", base.images + novel.images, *means)
