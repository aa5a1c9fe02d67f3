"""How a model and its tasks are read: said before work begins, and kept beside what was made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from headroles.adapt.data.task import Task
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.preprocess import describe_preprocess


def describe_model(model: HookedCLIP) -> str:
    """One line: how its text tower reads texts, what it does to pictures, and where that was found."""
    preprocessing, place = describe_preprocess(model.processor)
    found = f", from {place}" if place else ""
    return f"model {model.model_name}: {model.describe_texts()}; preprocessing: {preprocessing}{found}"


def record_reading(model: HookedCLIP, tasks: Iterable[Task]) -> dict[str, Any]:
    """The same as plain values, and of every task its counts, its split, what was left out and what is odd."""
    preprocessing, place = describe_preprocess(model.processor)
    return {
        "texts": model.describe_texts(),
        "preprocessing": preprocessing,
        "found_in": os.path.basename(place) if os.path.exists(place) else place,
        "tasks": {task.name: _record_task(task) for task in tasks},
    }


def _record_task(task: Task) -> dict[str, Any]:
    counts = {"train": len(task.train), "val": len(task.val), "test": len(task.test)}
    more = {"split": task.split, "left_out": list(task.left_out), "notes": list(task.notes)}
    return {"classes": len(task.classes), **counts, **more}
