"""Domains of a task, such as photo and sketch: which there are, all but one to train on, one to test on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headroles.adapt.data.examples import Example
from headroles.adapt.data.task import Task
from headroles.errors import InputError

_LAYOUT = "expected PATH/DOMAIN/CLASS/IMAGE, a list with a column of domains (--domains COLUMN) or a built-in task"


def name_domains(task: Task) -> tuple[str, ...]:
    """The domains of a task's images, in sorted order; none where nothing is said."""
    return tuple(sorted({example.domain for example in _all(task)} - {""}))


def check_domains(task: Task) -> tuple[str, ...]:
    """The domains, of which each can be left out and tested.

    InputError where there are fewer than two, or where one lacks a class: accuracies would be over different classes.
    """
    names = name_domains(task)
    if len(names) < 2:
        has = f"one domain, {names[0]!r}" if names else "no domains"
        raise InputError(f"task: {task.name} has {has}; to leave one out it needs two or more: {_LAYOUT}")
    whole = {name: {example.label for example in _all(task) if example.domain == name} for name in names}
    for name, labels in whole.items():
        lacking = sorted(set(range(len(task.classes))) - labels)
        if lacking:
            known = next(other for other in names if lacking[0] in whole[other])
            raise InputError(
                f"task: domain {name!r} of {task.name} has no class {task.classes[lacking[0]]!r}, which {known!r} has; "
                "all domains need the same classes: add its images, or take the class out of the others"
            )
    return names


def leave_domain_out(task: Task, domain: str) -> Task:
    """The task without a domain's training and validation images, for training; its test images stay as they are."""
    train, val = (tuple(e for e in part if e.domain != domain) for part in (task.train, task.val))
    return replace(task, train=train, val=val)


def keep_domain(task: Task, domain: str) -> Task:
    """The task of a domain that no training has seen: its test images; where the split was made here, all of its own.

    InputError where it has none.
    """
    if domain not in name_domains(task):
        raise InputError(
            f"task: {task.name} has no domain {domain!r}, which was left out of the training; its domains: "
            f"{', '.join(name_domains(task)) or 'none'}"
        )
    test: Sequence[Example] = _all(task) if task.split_here else task.test
    tested = tuple(example for example in test if example.domain == domain)
    if not tested:
        raise InputError(f"task: domain {domain!r} of {task.name} has no test image; add some")
    return replace(task, train=(), val=(), test=tested)


def _all(task: Task) -> tuple[Example, ...]:
    return (*task.train, *task.val, *task.test)
