"""Split files of CoOp's kind: {"train", "val", "test"}: [[path, label, class name], ...]; also one's own."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.adapt.data.class_names import compose, odd_names
from headroles.adapt.data.examples import Example
from headroles.adapt.data.listed import find_file
from headroles.adapt.data.task import Task
from headroles.errors import InputError, said
from headroles.images.prompts import TEMPLATE

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image file as a layout lists it."""

    path: str
    """Relative to the data set's image folder."""
    label: int
    class_name: str


Splits = dict[str, list[Labelled]]


def find_split_file(folder: Path) -> Path | None:
    """The one split file that lies in a folder; InputError where there are several."""
    found = [path for path in sorted(folder.glob("*.json")) if path.name.startswith("split") and _is_split_file(path)]
    if len(found) > 1:
        raise InputError(
            f"task: {folder} holds several split files, {', '.join(p.name for p in found)}; give one of them"
        )
    return found[0] if found else None


def _is_split_file(path: Path) -> bool:
    try:
        parse_splits(path)
    except InputError as error:
        return "is no split file" not in str(error)
    return True


def read_split_file(path: Path, template: str | None = None, name: str | None = None) -> Task:
    """The task of a split file of one's own; its images lie in images/ beside it, beside it, or in a folder there."""
    splits = parse_splits(path)
    if not splits["test"]:
        splits = {**splits, "test": splits["val"], "val": []}
    if not any(splits.values()):
        raise InputError(f"task: {path} lists no image; expected [path, label, class name] in train and test")
    root = _find_root(path, splits)
    task = labelled_task(name or str(path), splits, root, template or TEMPLATE, path)
    _check_names(task.classes, path)
    _check_paths(splits, path)
    how = "split as the file says"
    return dataclasses.replace(task, own=True, split=how, notes=odd_names(task.classes, task.template))


def parse_splits(path: Path) -> Splits:
    """The lists of a split file; "val" may lack. InputError that says which entry is wrong."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"task: cannot read {path} ({said(error)}); put the benchmark's file there") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"task: {path} is no split file ({said(error)}); get it again") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("test", raw.get("val")), list):
        raise InputError(f'task: {path} is no split file; expected {{"train": [...], "val": [...], "test": [...]}}')
    return {split: _entries(path, split, raw.get(split, [])) for split in SPLITS}


def _entries(path: Path, split: str, raw: Any) -> list[Labelled]:
    if not isinstance(raw, list):
        raise InputError(f"task: {path} is no split file ({split} holds no list); get it again")
    for number, entry in enumerate(raw):
        right = isinstance(entry, list) and [type(part) for part in entry] == [str, int, str]
        if not right or not entry[0]:
            raise InputError(
                f"task: {path} is no split file (entry {number} of {split} is {str(entry)[:80]}; expected "
                "[path, label, class name]); get it again"
            )
    return [Labelled(place, label, compose(name)) for place, label, name in raw]


def _find_root(path: Path, splits: Splits) -> Path:
    """The folder that the paths are relative to: the one where the first image is."""
    first = next(entry.path for part in splits.values() for entry in part)
    beside = sorted(entry for entry in path.parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    places = [path.parent / "images", path.parent, *beside]
    root = next((place for place in places if os.path.exists(find_file(place, first))), None)
    if root is None:
        raise InputError(
            f"task: {first}, the first image of {path}, lies neither in {places[0]} nor beside the file; put "
            "the images there"
        )
    return root


def labelled_task(name: str, splits: Splits, root: Path, template: str, listing: Path) -> Task:
    """Labels become 0 ... n - 1 in their own order; InputError where a label has two names."""
    names: dict[int, str] = {}
    for entry in (entry for part in splits.values() for entry in part):
        if names.setdefault(entry.label, entry.class_name) != entry.class_name:
            raise InputError(
                f"task: label {entry.label} of {listing} names both {names[entry.label]!r} and "
                f"{entry.class_name!r}; get the file again"
            )
    order = {label: number for number, label in enumerate(sorted(names))}
    train, val, test = (
        tuple(Example(find_file(root, e.path), order[e.label], e.path) for e in splits.get(split, ()))
        for split in SPLITS
    )
    classes = tuple(names[label].replace("_", " ") for label in order)
    return Task(name, classes, template, train, val, test)


def _check_names(names: Sequence[str], listing: Path) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"task: two labels of {listing} are named {twice!r}; name them apart")
    if len(names) < 2:
        raise InputError(f"task: {listing} has one class, {names[0]!r}; a task needs two or more")


def _check_paths(splits: Splits, listing: Path) -> None:
    """No image twice, however it is written."""
    seen: dict[str, tuple[str, Labelled]] = {}
    for split, part in splits.items():
        for entry in part:
            place = os.path.normpath(entry.path.replace("\\", "/"))
            before, first = seen.setdefault(place, (split, entry))
            if first is entry:
                continue
            raise InputError(
                f"task: {entry.path} is listed twice in {listing}, as {first.class_name!r} in {before} and "
                f"{entry.class_name!r} in {split}; list every image once"
            )
