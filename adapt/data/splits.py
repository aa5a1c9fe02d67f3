"""From rows (image, class, split) to a task, with a fixed split where a data set has none."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headroles.adapt.data.examples import Example, ImageSource
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.images.prompts import TEMPLATE

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What splits may be called -> what we call them."""
VAL, TEST = 0.2, 0.3
"""Shares of a class that go to validation and testing where there is no split, as in the splits that CoOp made."""


@dataclass(frozen=True)
class Row:
    """One image of a data set that is being read."""

    source: ImageSource
    """What `Example` takes."""
    name: str
    """Where it is within the data set; decides a made split, so that it is the same on every machine."""
    class_name: str
    split: str = ""
    """train, val, test, or nothing where the data set does not say."""


def make_task(
    name: str, rows: Sequence[Row], template: str | None = None, classes: Iterable[str] | None = None
) -> Task:
    """A task of all rows; classes in sorted order unless given, those without any row left out.

    No split, or training images alone: 50% of a class are for training, 20% for validation, 30% for testing. No
    validation: 20% of the training images. No testing: the validation images test, and 20% of the training images
    validate. Testing alone: the task has no training images. Raises InputError that names the class where
    one is too small for that.
    """
    if not rows:
        raise InputError(f"task: {name} holds no labelled image")
    _check_names(name, rows)
    present = {row.class_name for row in rows}
    names = sorted(present) if classes is None else [c for c in classes if c in present]
    splits = _complete(name, rows)
    _check_classes(name, names, splits)
    label = {class_name: index for index, class_name in enumerate(names)}
    train, val, test = (
        tuple(Example(row.source, label[row.class_name], row.name) for row in splits[split])
        for split in ("train", "val", "test")
    )
    return Task(name, tuple(names), template or TEMPLATE, train, val, test)


def _complete(name: str, rows: Sequence[Row]) -> dict[str, list[Row]]:
    splits: dict[str, list[Row]] = {split: [r for r in rows if r.split == split] for split in ("train", "val", "test")}
    loose = [row for row in rows if not row.split]
    if loose and len(loose) < len(rows):
        raise InputError(f"task: {loose[0].name} of {name} has no split, others have one; give all a split or none")
    if splits["val"] and not (loose or splits["train"]):
        raise InputError(f"task: {name} has validation images and no training images; add a train split")
    if loose or (splits["train"] and not splits["val"] and not splits["test"]):
        train, val, test = _share(name, loose or splits["train"], (VAL, TEST))
        return {"train": train, "val": val, "test": test}
    if not splits["test"]:
        splits["test"], splits["val"] = splits["val"], []
    if splits["train"] and not splits["val"]:
        splits["train"], splits["val"] = _share(name, splits["train"], (VAL,))
    return splits


def _share(name: str, rows: Sequence[Row], shares: tuple[float, ...]) -> list[list[Row]]:
    """What remains, then one list a share; at least one row of every class in each. Drawn by a hash of the names."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.class_name].append(row)
    part: dict[str, int] = {}
    for class_name, group in groups.items():
        sizes = [max(1, round(len(group) * share)) for share in shares]
        if len(group) <= sum(sizes):
            raise InputError(
                f"task: class {class_name!r} of {name} has {_images(len(group))}; without a train/val/test split of "
                f"its own a class needs at least {len(shares) + 1}",
                page="too-few-images",
            )
        drawn = sorted(group, key=lambda row: hashlib.sha256(row.name.encode()).digest())
        start = 0
        for number, size in enumerate(sizes, 1):
            part.update({row.name: number for row in drawn[start : start + size]})
            start += size
    return [[row for row in rows if part.get(row.name, 0) == number] for number in range(len(shares) + 1)]


def _check_classes(name: str, names: Sequence[str], splits: dict[str, list[Row]]) -> None:
    """Every class needs test images, and training images unless the whole task has none."""
    for split in ("train", "test"):
        counts = Counter(row.class_name for row in splits[split])
        missing = [class_name for class_name in names if not counts[class_name]]
        if missing and (counts or split == "test"):
            raise InputError(f"task: class {missing[0]!r} of {name} has no {split} image; add some or drop the class")


def _check_names(name: str, rows: Sequence[Row]) -> None:
    [(twice, times)] = Counter(row.name for row in rows).most_common(1)
    if times > 1:
        raise InputError(f"task: {twice} is listed {times} times in {name}; list every image once")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
