"""The images that RECALL looks at: the newest task's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.examples import Example
from headroles.adapt.data.task import Task
from headroles.adapt.data.tasks import open_task
from headroles.errors import InputError
from headroles.images.images import find_images

_MOST = 1000
"""So many images are clustered at most, evenly chosen."""


def find_samples(
    info: AdapterInfo,
    task: str | Task | None,
    images: str | os.PathLike[str] | None,
    root: str | os.PathLike[str] | None,
) -> tuple[list[Example], str]:
    """The images, and where they are from: a folder's, a task's training images, or those of an adapter's own training.

    InputError where both are given, or there are none.
    """
    if images is not None and task is not None:
        raise InputError("images: give either images or task")
    if images is not None:
        folder = Path(images)
        if not folder.is_dir():
            raise InputError(f"images: {folder} is no folder; give one with images of the newest task")
        found = [Example(path, 0, path.relative_to(folder).as_posix()) for path in find_images(folder)]
        return _some(found, str(folder)), str(folder)
    opened = task if isinstance(task, Task) else open_task(info.task if task is None else task, root)
    return _some(trained_part(info, opened) if task is None else opened.train, opened.name), opened.name


def trained_part(info: AdapterInfo, task: Task) -> tuple[Example, ...]:
    """The images of its own task that an adapter was trained on."""
    drawn = task if info.shots is None else task.few_shot(info.shots, info.seed)
    return (drawn.halves()[0] if info.protocol == "base-to-novel" else drawn).train


def _some(examples: Sequence[Example], place: str) -> list[Example]:
    if len(examples) < 2:
        raise InputError(f"images: recall needs two or more of the newest task, and {place} has {len(examples)}")
    return [examples[row * len(examples) // _MOST] for row in range(_MOST)] if len(examples) > _MOST else list(examples)
