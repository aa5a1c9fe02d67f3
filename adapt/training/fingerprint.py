"""All that a training's result depends on: two equal fingerprints give the same adapter."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from headroles.adapt.config import LAST, TrainConfig
from headroles.adapt.data.examples import Example
from headroles.adapt.data.task import Task
from headroles.adapt.methods.method import Method
from headroles.heads.ablation import record_ablation
from headroles.roles.role_map import RoleMap


def fingerprint(method: Method, task: Task, train: TrainConfig) -> dict[str, Any]:
    """All that a training's result depends on, as plain values; two equal ones give the same adapter."""
    counts = Counter(example.label for example in task.train)
    settings = {
        "shots": max(counts.values(), default=0),
        "classes": list(task.classes),
        "template": task.template,
        "training images": digest(task.train),
        "model": method.model_hash,
        "role map": digest_map(method.role_map),
        method.name: method.config.to_dict(),
        "train": train.to_dict(),
    }
    if method.begun_with is not None:
        settings["begun with"] = method.begun_with
    if train.select_epoch != LAST or (task.val and method.validates(method.config)):
        settings["validation images"] = digest(task.val)
    return record_ablation(settings)


def digest(examples: Sequence[Example]) -> str:
    """sha256 over which images with which labels, in order."""
    lines = "\n".join(f"{example.label} {example.key}" for example in examples)
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_map(role_map: RoleMap | None) -> str | None:
    """sha256 of a role map's file; None of none."""
    return None if role_map is None else hashlib.sha256(role_map.to_json().encode()).hexdigest()
