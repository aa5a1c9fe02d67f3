"""Images with a class, a group value that a classifier should not use, and a split: the shape of Waterbirds.

A group is a class with a group value, such as "boat, sand". The training split may be biased: it makes class vectors.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.packed_paths import PackedNames, PackedPaths
from headroles.files.tables import open_table
from headroles.images.fingerprints import take_pixels
from headroles.images.groups import Groups, check_cell, find_groups
from headroles.images.images import ImageFiles, Preprocess, undecided, with_preprocess

if TYPE_CHECKING:
    from headroles.shapes.cues import CuePicture, CueTask

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class GroupedImages:
    """Images, and every image's class, group value and split."""

    name: str
    """What to call them in results."""
    images: ImageFiles | CueImages = field(repr=False)
    """index -> (index, pixels or an error text)."""
    classes: tuple[str, ...]
    """Names of the classes."""
    values: tuple[str, ...]
    """The group values."""
    labels: Int[ndarray, "image"] = field(repr=False)
    """Class of every image."""
    places: Int[ndarray, "image"] = field(repr=False)
    """Group value of every image."""
    splits: ndarray = field(repr=False)
    """"train", "val" or "test" of every image."""
    together: Groups | None = field(default=None, repr=False)
    """Images that are drawn together, where that is known; not the groups that accuracies are of."""

    @property
    def groups(self) -> Int[ndarray, "image"]:
        """Group number of every image: class times group values plus value."""
        return self.labels * len(self.values) + self.places

    def with_preprocess(self, preprocess: Preprocess) -> GroupedImages:
        """The same images as another model wants them: they can be opened before any model is loaded."""
        return replace(self, images=with_preprocess(self.images, preprocess))

    def with_groups(self, by: str | Sequence[Any] | None, name: str = "given") -> GroupedImages:
        """The same images, one label each: those of one label are drawn together; None leaves them as they are."""
        return self if by is None else replace(self, together=find_groups(self.images, by, name))

    def group_name(self, group: int) -> str:
        """Such as "boat, sand"."""
        label, value = divmod(group, len(self.values))
        return f"{self.classes[label]}, {self.values[value]}"


@dataclass
class CueImages(Dataset):
    """Rendered pictures of a planted cue; see `headroles.shapes.cues`."""

    preprocess: Preprocess
    task: CueTask
    pictures: tuple[CuePicture, ...]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        from headroles.shapes.cues import render_cue

        pixels = render_cue(self.task, self.pictures[index], self.seed)
        take_pixels(pixels)
        return index, self.preprocess(Image.fromarray(pixels))

    def name(self, index: int) -> str:
        """Split and number."""
        return f"{self.pictures[index].split} {index}"

    def fingerprint(self) -> str:
        """Task and seed fix the pictures."""
        return hashlib.sha256(f"cues {self.task.name} {self.seed}".encode()).hexdigest()


@typed
def open_grouped(
    source: str | Path, preprocess: Preprocess | None, seed: int = 0, groups: str | Sequence[Any] | None = None
) -> GroupedImages:
    """ "shapes" or "shapes:boat+grass,car+sand@hidden" (a planted cue, rendered), or a CSV file.

    The CSV file has columns `path` (relative to the file), `class`, `group` and, if some images are there to learn
    from, `split` (train, val, test; without it all are test).
    `preprocess`: the model's; None where `with_preprocess` follows. `groups` (images that belong together, such as the
    frames of a film; they are drawn together): another column, or one label an image. Raises InputError where something
    is missing.
    """
    name, _, rest = str(source).partition(":")
    if name == "shapes":
        return _planted(rest, preprocess, seed).with_groups(groups)
    path = Path(source)
    if not path.is_file():
        raise InputError(f"task: no file {source}; give shapes, shapes:ITEM+BACKGROUND,ITEM+BACKGROUND, or a CSV")
    own = groups if isinstance(groups, str) else None
    columns = {column: _Column() for column in ("class", "group", "split", *([own] if own else []))}
    names = PackedNames(_read_rows(path, columns, own))
    for column in ("class", "group"):
        if len(columns[column].numbers) < 2:
            (one,) = columns[column].numbers
            raise InputError(f"task: {path} has the one {column} {one!r}; a comparison needs at least two")
    (classes, labels), (values, places), (splits, its), *_ = (each.sorted() for each in columns.values())
    files = ImageFiles(PackedPaths(path.parent, names), preprocess or undecided, path.parent)
    opened = GroupedImages(path.name, files, classes, values, labels, places, np.array(splits)[its])
    return opened.with_groups(columns[own].codes.tolist() if own else groups, own or "given")


class _Column:
    """Every row's value, as numbers in the order in which values were met."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.codes = array("q")

    def put(self, value: str) -> None:
        """The next row's value."""
        self.codes.append(self.numbers.setdefault(value, len(self.numbers)))

    def sorted(self) -> tuple[tuple[str, ...], Int[ndarray, "image"]]:
        """The values, sorted, and each row's place among them."""
        values = tuple(sorted(self.numbers))
        places = np.empty(len(values), dtype=np.int64)
        places[[self.numbers[value] for value in values]] = np.arange(len(values))
        return values, places[np.array(self.codes)]


def _planted(text: str, preprocess: Preprocess | None, seed: int) -> GroupedImages:
    from headroles.shapes.cues import list_pictures, parse_cue

    task, pictures = parse_cue(text), list_pictures()
    return GroupedImages(
        f"shapes:{task.name}",
        CueImages(preprocess or undecided, task, pictures, seed),
        task.items,
        task.backgrounds,
        np.array([each.label for each in pictures]),
        np.array([each.place for each in pictures]),
        np.array([each.split for each in pictures]),
    )


_COLUMNS = ("path", "class", "group")


def _read_rows(path: Path, columns: dict[str, _Column], groups: str | None) -> Iterator[str]:
    """The images' paths, row by row; the other cells go into `columns`, those of the column `groups` too."""
    with open_table(path, "task") as reader:
        found, names = False, tuple(reader.fieldnames or ())
        lacking = [name for name in _COLUMNS if name not in names]
        if groups is not None and not lacking:
            _check_groups(groups, names, path)
        for row in reader if not lacking else ():
            cells, found = _cells(row, groups, f"line {reader.line_num} of {path}"), True
            for name, column in columns.items():
                column.put(cells[name])
            yield cells["path"]
    if lacking or not found:
        what = ", ".join(lacking) or "rows"
        raise InputError(f"task: {path} needs rows with columns path, class, group; it has no {what}")


def _check_groups(groups: str, names: Sequence[str], path: Path) -> None:
    others = [name for name in names if name not in (*_COLUMNS, "split")]
    if groups not in others:
        has = ", ".join(others) or "none"
        raise InputError(
            f"groups: expected a column of {path} beside path, class, group and split, which are something else, got "
            f"{groups!r}; it has {has}"
        )


def _cells(row: dict[str, str | None], groups: str | None, place: str) -> dict[str, str]:
    """A row's cells; `place` names it where one lacks or is no split."""
    cells = {name: (row.get(name) or "").strip() for name in (*_COLUMNS, "split")}
    if groups is not None:
        cells[groups] = check_cell(row[groups], groups, place)
    for name in _COLUMNS:
        if not cells[name]:
            raise InputError(f"task: {place} has no {name}")
    cells["split"] = cells["split"] or "test"
    if cells["split"] not in SPLITS:
        raise InputError(f"task: {place} has split {cells['split']!r}; expected {', '.join(SPLITS)}")
    return cells


def check_splits(grouped: GroupedImages, needed: dict[str, str]) -> None:
    """InputError where a split that is `needed` (split -> what for) lacks a class."""
    for split, why in needed.items():
        present = set(grouped.labels[grouped.splits == split].tolist())
        missing = [name for number, name in enumerate(grouped.classes) if number not in present]
        if missing:
            raise InputError(f"task: {grouped.name} has no {split} image of {missing[0]}, needed {why}")
