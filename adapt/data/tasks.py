"""`open_task(spec)`: from a built-in name, a path or a benchmark's name to a task."""

from __future__ import annotations

import os
from pathlib import Path

from headroles.adapt.data.augment import TaskImages
from headroles.adapt.data.coop import DATA_SETS, find_data_set, open_data_set
from headroles.adapt.data.examples import Example, ImageError, ShapesSource
from headroles.adapt.data.layouts import is_dataset_folder, read_csv, read_dataset, read_folder
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.shapes.shifts import SHIFTS as _SHIFTS
from headroles.shapes.tasks import POOL, find_task
from headroles.shapes.tasks import TASKS as _SHAPES

__all__ = ["SHIFTS", "TASKS", "Example", "ImageError", "ShapesSource", "Task", "TaskImages", "open_task"]

SHAPES = "shapes:"
"""What names of built-in tasks begin with."""
TASKS: dict[str, str] = {f"{SHAPES}{name}": task.summary for name, task in _SHAPES.items()}
"""Name of a built-in task -> what it is."""
SHIFTS: dict[str, str] = {name: shift.summary for name, shift in _SHIFTS.items()}
"""Name of a domain shift -> what it does."""


def open_task(spec: str, root: str | os.PathLike[str] | None = None, template: str | None = None) -> Task:
    """The task that `spec` names; images are listed, not opened.

    `spec` is "shapes:NAME" or "shapes:NAME@SHIFT"; a benchmark's data set ("eurosat", "dtd" ...) below `root`; a folder
    with a sub-folder a class, with or without train/val/test; a CSV file of path,label[,split]; or a Hugging Face
    `datasets` folder. `template` replaces the data set's own prompt. A task's `name` is the spec that opens it again.
    """
    if spec.startswith(SHAPES):
        return _open_shapes(spec, template)
    try:
        return _open_files(spec, root, template)
    except OSError as error:
        raise InputError(f"task: cannot read {spec} ({error})") from error


def _open_files(spec: str, root: str | os.PathLike[str] | None, template: str | None) -> Task:
    path = Path(spec).expanduser()
    if root is not None and find_data_set(spec) is not None:
        return open_data_set(spec, Path(root).expanduser(), template)
    if path.is_file():
        return read_csv(path, template)
    if not path.is_dir():
        raise InputError(_unknown(spec))
    if is_dataset_folder(path):
        return read_dataset(path, template)
    data_set = find_data_set(path.name)
    if data_set is not None and path.name == data_set.folder and (path / data_set.listing).exists():
        return open_data_set(path.name, path.parent, template)
    return read_folder(path, template)


def _open_shapes(spec: str, template: str | None) -> Task:
    name, _, shift = spec.removeprefix(SHAPES).partition("@")
    task = find_task(name)
    splits = {
        split: tuple(
            Example(ShapesSource(name, split, index), index % len(task.classes))
            for index in range(count * len(task.classes))
        )
        for split, count in POOL.items()
    }
    opened = Task(SHAPES + name, task.classes, template or task.template, **splits, augment=task.augment)
    return opened.shifted(shift) if "@" in spec else opened


def _unknown(spec: str) -> str:
    if find_data_set(spec) is not None:
        return f"task: data set {spec} needs the folder that holds the data sets; give it with --root"
    return (
        f"task: there is no {spec}; expected a built-in task ({', '.join(list(TASKS)[:3])} ...), a folder of class "
        f"folders, a CSV file, a Hugging Face datasets folder, or, with --root, one of {', '.join(DATA_SETS)}"
    )
