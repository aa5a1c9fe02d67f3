"""From rows (image, class, split) to a task, with a fixed split where a data set has none."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headroles.adapt.data.class_names import compose, odd_names, rename
from headroles.adapt.data.examples import Example, ImageSource
from headroles.adapt.data.spec import TEST_SHARE, Reading
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.images.prompts import TEMPLATE

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What splits may be called -> what we call them."""


@dataclass(frozen=True)
class Row:
    """One image of a data set that is being read."""

    source: ImageSource
    """What `Example` takes."""
    name: str
    """Where it is within the data set."""
    class_name: str
    split: str = ""
    """train, val, test, or nothing where the data set does not say."""
    content: str = ""
    """Hash of the picture, where its place says little, as a row's number does, which moves with rows before it."""
    domain: str = ""
    """As `Example` has it."""

    @property
    def draw(self) -> bytes:
        """Decides a made split, the same on every machine."""
        return hashlib.sha256(os.fsencode(self.content or self.name)).digest()


def make_task(
    name: str,
    rows: Sequence[Row],
    template: str | None = None,
    classes: Iterable[str] | None = None,
    reading: Reading | None = None,
    notes: Sequence[str] = (),
) -> Task:
    """A task of all rows; classes in sorted order unless given, those without any row left out.

    No split, or training images alone: 30% of a class (`Reading.test_share`) are for testing, all others for training.
    No testing: the validation images test. Testing alone: the task has no training images. Validation images are
    those that the data bring, or a share of what would train (`Reading.val_share`). Raises InputError that names the
    class where one is too small for that.
    """
    reading = reading or Reading()
    if not rows:
        raise InputError(f"task: {name} holds no labelled image")
    rows = [dataclasses.replace(row, class_name=compose(row.class_name)) for row in rows]
    _check_names(name, rows)
    present = {row.class_name for row in rows}
    names = sorted(present) if classes is None else [c for c in map(compose, classes) if c in present]
    splits, how = _set_apart(name, *_complete(name, rows, reading), reading.val_share)
    if len(names) < 2:
        raise InputError(
            f"task: {name} has one class, {names[0]!r}; a task needs two or more: give the place whose sub-folders, or "
            "labels, are the classes"
        )
    _check_classes(name, names, splits)
    label = {class_name: index for index, class_name in enumerate(names)}
    train, val, test = (
        tuple(Example(row.source, label[row.class_name], row.name, row.domain) for row in splits[split])
        for split in ("train", "val", "test")
    )
    shown = tuple(rename(names, reading.class_names, name))
    notes = (*notes, *odd_names(shown, template or TEMPLATE))
    made = how.startswith("split here")
    task = Task(reading.join(name), shown, template or TEMPLATE, train, val, test)
    return dataclasses.replace(task, own=True, split=how, split_here=made, notes=notes)


def _complete(name: str, rows: Sequence[Row], reading: Reading) -> tuple[dict[str, list[Row]], str]:
    """The rows of every split, and how they came there."""
    splits: dict[str, list[Row]] = {split: [r for r in rows if r.split == split] for split in ("train", "val", "test")}
    loose = [row for row in rows if not row.split]
    if loose and len(loose) < len(rows):
        raise InputError(f"task: {loose[0].name} of {name} has no split, others have one; give all a split or none")
    if splits["val"] and not (loose or splits["train"]):
        raise InputError(f"task: {name} has validation images and no training images; add a train split")
    if loose or (splits["train"] and not splits["val"] and not splits["test"]):
        share = reading.test_share or TEST_SHARE
        train, test = _share(name, loose or splits["train"], share)
        parts = {"train": train, "val": [], "test": test}
        return parts, f"split here: {100 * share:g}% of each class test, all others train"
    if reading.test_share is not None:
        raise InputError(f"test-share: {name} brings a split of its own; leave --test-share out")
    if not splits["test"]:
        return {**splits, "test": splits["val"], "val": []}, "split as given: the validation images test"
    return splits, "split as given"


def _set_apart(
    name: str, splits: dict[str, list[Row]], how: str, share: float | None
) -> tuple[dict[str, list[Row]], str]:
    """The splits with a share of what trains as validation images, and how they came there."""
    if share is None:
        return splits, how
    if splits["val"] or not splits["train"]:
        has = "validation images" if splits["val"] else "no training images"
        raise InputError(f"val-share: {name} brings {has}; leave --val-share out")
    train, val = _share(name, splits["train"], share, " to train on; with --val-share")
    return {**splits, "train": train, "val": val}, f"{how}, {100 * share:g}% of these validate"


def _share(
    name: str, rows: Sequence[Row], share: float, why: str = "; without a train/test split of its own"
) -> list[list[Row]]:
    """All but a share, and the share, at least one of every class in each. Drawn by `Row.draw`.

    One more or one less image moves at most one other from part to part.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.class_name].append(row)
    tested: set[str] = set()
    for class_name, group in groups.items():
        size = max(1, round(len(group) * share))
        if len(group) < 2:
            raise InputError(
                f"task: class {class_name!r} of {name} has {_images(len(group))}{why} a class needs at least 2",
                page="too-few-images",
            )
        drawn = sorted(group, key=lambda row: row.draw)
        tested.update(row.name for row in drawn[: min(size, len(group) - 1)])
    return [[row for row in rows if (row.name in tested) == part] for part in (False, True)]


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
        where = dict.fromkeys(f"{row.class_name!r} {row.split}".strip() for row in rows if row.name == twice)
        said = f", as {' and '.join(where)}" if len(where) > 1 else ""
        raise InputError(f"task: {twice} is listed {times} times in {name}{said}; list every image once")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
