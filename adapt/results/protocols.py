"""Protocols: what is trained, what is tested, and on which tasks."""

from __future__ import annotations

from collections.abc import Sequence

from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.coop import default_data_sets
from headroles.adapt.metrics import MEAN, Measure, average
from headroles.errors import InputError
from headroles.shapes.tasks import RETENTION, TASKS, find_task

PROTOCOLS = {
    "base-to-novel": "train on the first half of the classes; test on both halves and their harmonic mean",
    "joint": "train as base-to-novel; test every image among the names of both halves",
    "few-shot": "train and test on all classes",
    "cross-dataset": "train on all classes; test on other tasks, zero-shot",
    "domain-shift": "train on all classes; test on the same classes in other renderings",
    "leave-one-domain-out": "train on all domains but one, each in turn; test on the one that was left out",
}
"""Name -> what it measures."""
WITH_TARGETS = ("cross-dataset", "domain-shift")
"""The protocols that test on other tasks."""
HALVED = ("base-to-novel", "joint")
"""The protocols that train on the first half of the classes."""
NOVEL = (*HALVED, "cross-dataset")
"""The protocols that test on classes without training images."""
LEFT_OUT = "leave-one-domain-out"
"""The protocol that trains an adapter for each domain."""


def check_protocol(protocol: str) -> None:
    """InputError for a name that is none of `PROTOCOLS`."""
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")


def average_domains(measures: Sequence[Measure]) -> list[Measure]:
    """Of rows with a domain left out: their unweighted mean, a row a seed, task and number of shots."""
    groups: dict[tuple[int, str, int | None], list[Measure]] = {}
    for row in measures:
        if row.protocol == LEFT_OUT:
            groups.setdefault((row.seed, row.task, row.shots), []).append(row)
    return [average(rows, part=MEAN) for rows in groups.values() if len(rows) > 1]


def default_targets(task: str, protocol: str) -> tuple[str, ...]:
    """The tasks that a protocol tests on where nothing is named; none where there are none.

    Of a built-in task its shifts, or its peers; of one of CoOp's data sets the others of the eleven, of ImageNet its
    four shifts.
    """
    kind, _, name = task.partition(":")
    if kind != "shapes":
        return default_data_sets(task, protocol == "domain-shift") if protocol in WITH_TARGETS else ()
    if protocol == "domain-shift":
        return tuple(f"{task}@{shift}" for shift in find_task(name).shifts)
    peers = (other for other in TASKS if other not in (name, *RETENTION)) if protocol == "cross-dataset" else ()
    return tuple(f"shapes:{other}" for other in peers)


def choose_protocol(tasks: list[str], protocol: str | None, info: AdapterInfo) -> tuple[str, list[str], list[str]]:
    """The protocol that `headroles.adapt.evaluate` follows, which tasks it runs over, and the targets of each."""
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
