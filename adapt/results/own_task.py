"""An adapter's own task, as it is found now: what is different, and which of its classes were trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.adapter.memory import SPLITS, image_ids, remember_split, sum_examples
from headroles.adapt.data.task import Task
from headroles.adapt.results.protocols import HALVED
from headroles.errors import InputError


def is_own(info: AdapterInfo, task: Task) -> bool:
    """Whether a task is the one that an adapter was made for: by name, or the same classes and the same split."""
    return task.name == info.task or (task.classes == info.classes and remember_split(task) == info.split)


def own_halves(info: AdapterInfo, task: Task) -> tuple[Task, Task] | None:
    """Base: the classes that were trained; novel: the task's others, also new ones. None without such a training.

    Halves of the classes as they are now would take trained classes for novel ones. Raises InputError where a class
    that was trained is gone, or no other one is left.
    """
    if info.protocol not in HALVED:
        return None
    gone = [name for name in info.trained_classes if name not in task.classes]
    if gone:
        raise InputError(
            f"task: class {gone[0]!r}, which the adapter was trained on, is not in {task.name}; add its images, or "
            "test the classes that are there: --protocol few-shot"
        )
    novel = [name for name in task.classes if name not in info.trained_classes]
    if not novel:
        raise InputError(f"task: {task.name} has no class that the adapter was not trained on; use --protocol few-shot")
    return _keep(task, info.trained_classes, "base"), _keep(task, novel, "novel")


def _keep(task: Task, classes: Sequence[str], part: str) -> Task:
    """Some of a task's classes, relabelled in this order."""
    label = {task.classes.index(name): number for number, name in enumerate(classes)}
    train, val, test = (
        tuple(dataclasses.replace(each, label=label[each.label]) for each in examples if each.label in label)
        for examples in (task.train, task.val, task.test)
    )
    return dataclasses.replace(
        task, name=f"{task.name}-{part}", classes=tuple(classes), train=train, val=val, test=test
    )


def find_differences(info: AdapterInfo, task: Task) -> tuple[str, ...]:
    """What is not as an adapter of this task remembers it, a sentence each."""
    found = [*_compare_classes(info, task), *_compare_splits(info.split or {}, task), *_find_trained(info, task)]
    if task.template != info.template:
        found.append(f"the template is {task.template!r}, the adapter was trained with {info.template!r}")
    return tuple(found)


def _compare_classes(info: AdapterInfo, task: Task) -> list[str]:
    gone, new = (
        sorted(set(one) - set(other)) for one, other in ((info.classes, task.classes), (task.classes, info.classes))
    )
    return [
        f"{len(names)} {'class' if len(names) == 1 else 'classes'} {what} since training: {_some(names)}"
        for what, names in (("gone", gone), ("new", new))
        if names
    ]


def _compare_splits(old: Mapping[str, Mapping[str, Any]], task: Task) -> list[str]:
    new, told = remember_split(task), []
    for split in SPLITS:
        if split not in old or old[split] == new[split]:
            continue
        before, now = old[split]["images"], new[split]["images"]
        told.append(
            f"the {split} split had {before} images and has {now}"
            if before != now
            else f"the {split} split has as many images as before ({now}), and others"
        )
    return told


def _find_trained(info: AdapterInfo, task: Task) -> list[str]:
    """Test images among those that were trained on; only looked for where the test split is another one."""
    old = (info.split or {}).get("test")
    if not info.trained_images or old is None or old == sum_examples(task, task.test):
        return []
    seen = image_ids(task.test)
    trained = [seen[each] for each in info.trained_images if each in seen]
    return [f"{len(trained)} test images were trained on: {_some(trained)}"] if trained else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
