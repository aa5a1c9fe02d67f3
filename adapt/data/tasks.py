"""`open_task(spec)`: from a built-in name, a path or a benchmark's name to a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headroles.adapt.data.augment import TaskImages
from headroles.adapt.data.coop import find_data_set, open_data_set
from headroles.adapt.data.examples import Example, ImageError, ShapesSource
from headroles.adapt.data.folders import read_folder
from headroles.adapt.data.hugging_face import is_dataset_folder, read_dataset, read_hub, read_parquet
from headroles.adapt.data.listed import LISTS, read_list
from headroles.adapt.data.names import HUB, SHAPES, SHIFTS, TASKS, unknown
from headroles.adapt.data.spec import FOLDERS, KNOWN, Reading, split_spec
from headroles.adapt.data.spec import SHIFTS as SHIFTED
from headroles.adapt.data.split_file import find_split_file, read_split_file
from headroles.adapt.data.task import Task
from headroles.checks import typed
from headroles.errors import InputError, said
from headroles.images.prompts import check_named
from headroles.shapes.tasks import POOL, find_task

__all__ = ["SHIFTS", "TASKS", "Example", "ImageError", "ShapesSource", "Task", "TaskImages", "open_task"]

PLAIN = "plain"
"""Domain of a built-in task's pictures as they are; under a shift it is the shift's name."""


@typed
def open_task(
    spec: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    template: str | None = None,
    *,
    domains: bool = False,
) -> Task:
    """The task that `spec` names; images are listed, not opened.

    `spec` is "shapes:NAME" or "shapes:NAME@SHIFT"; a benchmark's data set ("eurosat", "dtd" ...) below `root`; a folder
    with a sub-folder a class, with or without train/val/test; a CSV, TSV or JSON-lines file of path,label[,split]; a
    split file of CoOp's kind, or the folder that holds it; parquet files; a Hugging Face `datasets` folder, or
    "hf:NAME" of the hub. Behind a path, "?test-share=0.5&label=COLUMN&class-names=FILE" says how it is read
    (`Reading`). `template` replaces the data set's own prompt, with several lines by
    several, whose embeddings are averaged. `domains`: with the domains that its layout has, unless the spec says which:
    a folder holds DOMAIN/CLASS/ folders, a built-in task is all of its shifts too. A task's `name` is the spec that
    opens it again.
    """
    spec = os.fspath(spec)
    if spec.startswith(SHAPES):
        return _with_template(_open_shapes(spec, template, domains), template)
    try:
        return _with_template(_open_files(spec, root, template, domains), template)
    except (OSError, ValueError) as error:  # A path with a null byte is a ValueError.
        if isinstance(error, InputError):
            raise
        raise InputError(f"task: cannot read {spec} ({said(error)})") from error


def _with_template(task: Task, template: str | None) -> Task:
    """The task, whose classes a given template may name, and no others."""
    if template:
        check_named(template, task.classes)
    return task


def _open_files(spec: str, root: str | os.PathLike[str] | None, template: str | None, domains: bool) -> Task:
    place, reading = split_spec(spec)
    if root is not None and find_data_set(place) is not None:
        _refuse(reading, place)
        return open_data_set(place, Path(root).expanduser(), template)
    if place.startswith(HUB):
        return read_hub(place, template, reading)
    path = Path(place).expanduser()
    if path.is_file():
        return _open_file(path, template, reading)
    if path.is_dir():
        return _open_folder(path, template, reading, domains)
    raise unknown(spec)


def _open_file(path: Path, template: str | None, reading: Reading) -> Task:
    kind = path.suffix.lower()
    if kind == ".json":
        _refuse(reading, str(path))
        return read_split_file(path, template)
    if kind == ".parquet":
        return read_parquet([path], str(path), template, reading)
    if kind in LISTS:
        return read_list(path, template, reading)
    raise InputError(
        f"task: {path} is no {', '.join(LISTS)}, .json or .parquet file; expected a list of path,label[,split]"
    )


def _open_folder(path: Path, template: str | None, reading: Reading, domains: bool) -> Task:
    if is_dataset_folder(path):
        return read_dataset(path, template, reading)
    data_set = find_data_set(path.name)
    if data_set is not None and path.name == data_set.folder and (path / data_set.listing).exists():
        _refuse(reading, str(path))
        return open_data_set(path.name, path.parent, template)
    split_file = find_split_file(path)
    if split_file is not None:
        _refuse(reading, str(path))
        return read_split_file(split_file, template, str(path))
    shards = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    if shards and not any(entry.is_dir() and entry.name != "data" for entry in path.iterdir()):
        return read_parquet(shards, str(path), template, reading)
    if domains and not reading.domains:
        reading = replace(reading, domains=FOLDERS)
    return read_folder(path, template, reading)


def _refuse(reading: Reading, place: str) -> None:
    """Benchmarks and split files say all themselves."""
    if reading != Reading():
        raise InputError(
            f"task: {place} has splits and class names of its own; leave {', '.join(KNOWN)} out"
        )


def _open_shapes(spec: str, template: str | None, domains: bool) -> Task:
    place, reading = split_spec(spec)
    _refuse(replace(reading, domains=""), place)
    if reading.domains not in ("", SHIFTED):
        raise InputError(f"domains: {place} is a built-in task, whose domains are {SHIFTED}, got {reading.domains!r}")
    name, _, shift = place.removeprefix(SHAPES).partition("@")
    task = find_task(name)
    splits = {
        split: tuple(
            Example(ShapesSource(name, split, index), index % len(task.classes), domain=PLAIN)
            for index in range(count * len(task.classes))
        )
        for split, count in POOL.items()
    }
    train, val, test = (splits[split] for split in ("train", "val", "test"))
    opened = Task(SHAPES + name, task.classes, template or task.template, train, val, test, augment=task.augment)
    if not (domains or reading.domains):
        return opened.shifted(shift) if "@" in place else opened
    if shift:
        raise InputError(f"domains: {place} is one rendering; its domains are those of {SHAPES}{name}")
    return _join([opened, *map(opened.shifted, task.shifts)], Reading(domains=SHIFTED).join(opened.name))


def _join(renderings: Sequence[Task], name: str) -> Task:
    """One task of all of their images."""
    train, val, test = (
        tuple(example for each in renderings for example in getattr(each, split)) for split in ("train", "val", "test")
    )
    return replace(renderings[0], name=name, train=train, val=val, test=test)
