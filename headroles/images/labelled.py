"""Images whose concept values are known: to ask what a head does, beside what its texts say.

An image has at most one value of each concept; -1 (`ABSENT`) where a concept does not apply or is not labelled.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.packed_paths import PackedNames, PackedPaths
from headroles.files.tables import open_table
from headroles.images.blocks import Blocking
from headroles.images.groups import Groups, check_cell, find_groups
from headroles.images.images import (
    ImageFiles,
    Preprocess,
    ShapesImages,
    pack_images,
    printable,
    spread,
    undecided,
    with_preprocess,
)
from headroles.images.prompts import write_prompts
from headroles.shapes.world import ABSENT

"""Code of an image that has no value of a concept."""
TEMPLATE = "a photo of {}."
"""Prompt of a value where the images bring none of their own."""


@dataclass(frozen=True)
class Concept:
    """A concept, its values, and the texts that name each of them."""

    name: str
    """Such as color."""
    values: tuple[str, ...]
    """Such as red and green."""
    prompts: tuple[tuple[str, ...], ...]
    """One or more texts a value; a value's text embedding is the mean of theirs."""


@dataclass(frozen=True)
class LabelledImages:
    """A data set, the concepts that it is labelled with, and every image's value of each."""

    name: str
    """What to call it in results."""
    images: ImageFiles | ShapesImages = field(repr=False)
    """index -> (index, pixels or an error text)."""
    concepts: tuple[Concept, ...]
    """The concepts and their values."""
    codes: Int[ndarray, "image concept"] = field(repr=False)
    """Index of the image's value among the concept's; `ABSENT` where it has none."""
    groups: Groups | None = field(default=None, repr=False)
    """Images that belong together, where that is known."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """The concepts' names."""
        return tuple(concept.name for concept in self.concepts)

    def with_preprocess(self, preprocess: Preprocess) -> LabelledImages:
        """The same images as another model wants them: they can be opened before any model is loaded."""
        return replace(self, images=with_preprocess(self.images, preprocess))

    def with_groups(self, by: str | Sequence[Any] | None, name: str = "given") -> LabelledImages:
        """The same images in groups: `by` is "folder" for files, or one label an image; None leaves them as they are.

        InputError where the groups are the values of a concept: resamples would lose whole values.
        """
        if by is None:
            return self
        groups = find_groups(self.images, by, name)
        for concept, codes in zip(self.concepts, self.codes.T, strict=True):
            if _are_same(groups.codes, codes):
                raise InputError(
                    f"groups: those by {groups.name} are the values of {concept.name}, and a resample would lose whole "
                    "values; give smaller groups, or leave it out for blocks of neighbours within each value"
                )
        return replace(self, groups=groups)

    @property
    def blocking(self) -> Blocking:
        """How the images are cut into blocks: where each has one label at most, contiguous within each value."""
        return Blocking(len(self), self.groups, self._single_labels())

    def _single_labels(self) -> Int[ndarray, "image"] | None:
        """A number for every image's label, -1 for none; None where some have several."""
        has = self.codes != ABSENT
        if not self.concepts or (has.sum(1) > 1).any():
            return None
        starts = np.cumsum([0, *(len(concept.values) for concept in self.concepts)])[:-1]
        return np.where(has, self.codes + starts, ABSENT).max(1)


@typed
def open_labelled(
    source: str | Path,
    preprocess: Preprocess | None,
    count: int | None = None,
    seed: int = 0,
    template: str = TEMPLATE,
    groups: str | Sequence[Any] | None = None,
) -> LabelledImages:
    """Labelled images: "shapes" (rendered scenes), a folder CONCEPT/VALUE/IMAGE or VALUE/IMAGE, or a CSV file.

    The CSV file has a column `path` (relative to the file) and one column a concept; an empty cell is `ABSENT`. The
    concept of a folder VALUE/IMAGE has the folder's name. `count`: rendered scenes (default 2000), or at most so many
    files, spread evenly. `seed` is that of the scenes. `template` holds {} for a value; scenes have texts of their own.
    `preprocess`: the model's; None where `with_preprocess` follows. `groups` (images that belong together, such as the
    frames of a film): a column of the CSV file, which is no concept then; "folder", the folder of each file; or one
    label an image. Raises InputError where there is nothing to read, no concept has two values, or groups are missing
    or the values of a concept.
    """
    if str(source) == "shapes":
        return _scenes(preprocess, count or 2000, seed).with_groups(groups)
    path, left_out = Path(source), Counter[str]()
    if path.is_dir():
        home, rows = path, _folder_rows(path, left_out)
    elif path.is_file():
        home, rows = path.parent, _csv_rows(path, groups if isinstance(groups, str) else None)
    else:
        raise InputError(f"images: {source} is no folder and no file; give shapes, a folder CONCEPT/VALUE/, or a CSV")
    names, labels = _collect(rows)
    chosen = spread(count, len(names))
    files = ImageFiles(PackedPaths(home, (names[each] for each in chosen)), preprocess or undecided, home, left_out)
    column = labels.pop(groups) if isinstance(groups, str) and path.is_file() else None
    found = _labelled(printable(path.resolve().name), files, labels, np.array(chosen, dtype=np.int64), template)
    if column is None:
        return found.with_groups(groups)
    return found.with_groups([column.codes[each] for each in chosen], str(groups))


def _are_same(groups: Int[ndarray, "image"], codes: Int[ndarray, "image"]) -> bool:
    """Whether the images of each value are one group."""
    has = codes != ABSENT
    pairs = np.unique(np.stack([groups[has], codes[has]]), axis=1)
    return all(len(np.unique(row)) == pairs.shape[1] for row in pairs)


def _scenes(preprocess: Preprocess | None, count: int, seed: int) -> LabelledImages:
    from headroles.shapes import CONCEPTS, sample_scene, value_texts

    concepts = tuple(
        Concept(name, values, tuple(tuple(value_texts(name, value)) for value in values))
        for name, values in CONCEPTS.items()
    )
    codes = np.array([sample_scene(seed, index).labels for index in range(count)])
    return LabelledImages("shapes", ShapesImages(preprocess or undecided, count, seed), concepts, codes)


class _Labels:
    """Every row's value of one concept, as numbers in the order in which values were met."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.codes = array("q")

    def put(self, row: int, value: str) -> None:
        """The value of a row that comes after all others."""
        self.codes.extend([ABSENT] * (row - len(self.codes)))
        self.codes.append(self.numbers.setdefault(value, len(self.numbers)))

    def choose(self, rows: Int[ndarray, "image"]) -> tuple[tuple[str, ...], Int[ndarray, "image"]]:
        """The values that some of these rows have, sorted, and each row's place among them."""
        codes: Int[ndarray, "row"] = np.full(max(len(self.codes), int(rows.max(initial=0)) + 1), ABSENT)
        codes[: len(self.codes)] = self.codes
        codes, known = codes[rows], tuple(self.numbers)
        met = sorted((known[code], code) for code in np.unique(codes).tolist() if code != ABSENT)
        places = np.full(len(known) + 1, ABSENT)  # The last one is that of `ABSENT`, which is -1.
        places[[code for _, code in met]] = np.arange(len(met))
        return tuple(value for value, _ in met), places[codes]


def _collect(rows: Iterable[tuple[str, dict[str, str]]]) -> tuple[PackedNames, dict[str, _Labels]]:
    """Names and labels of millions of rows in little memory; rows are taken one by one."""
    labels: dict[str, _Labels] = {}

    def names() -> Iterator[str]:
        for number, (name, values) in enumerate(rows):
            for concept, value in values.items():
                labels.setdefault(concept, _Labels()).put(number, value)
            yield name

    return PackedNames(names()), labels


def _labelled(
    name: str, files: ImageFiles, labels: dict[str, _Labels], rows: Int[ndarray, "image"], template: str
) -> LabelledImages:
    concepts, columns = [], []
    for concept, each in sorted(labels.items()):
        values, codes = each.choose(rows)
        if len(values) > 1:
            concepts.append(Concept(concept, values, write_prompts(template, values)))
            columns.append(codes)
    if not concepts:
        raise InputError(f"images: {name} has no concept with two values; label images with different values")
    return LabelledImages(name, files, tuple(concepts), np.stack(columns, axis=1))


def _folder_rows(folder: Path, left_out: Counter[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(file, its values) of a folder CONCEPT/VALUE/... or VALUE/...; the depth of the first file decides."""
    names = pack_images(folder, left_out).names
    depth = min(name.count(os.sep) for name in names)
    if depth == 0:
        raise InputError(f"images: {folder} has unlabelled images; expected {folder}/CONCEPT/VALUE/IMAGE or a CSV")
    for name in names:
        parts = name.split(os.sep)
        yield name, {folder.resolve().name: parts[0]} if depth == 1 else {parts[0]: parts[1]}


def _csv_rows(file: Path, groups: str | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    """(file, its values) of every line; the column `groups`, if any, is one that every line has."""
    with open_table(file, "images") as reader:
        found, others = False, [column for column in reader.fieldnames or () if column != "path"]
        if len(others) == len(reader.fieldnames or ()) or set(others) <= {groups}:
            raise InputError(f"images: {file} needs a column path and one column a concept; the images are unlabelled")
        if groups is not None and groups not in others:
            raise InputError(f"groups: {file} has no column {groups!r}; its columns: path, {', '.join(others)}")
        for line in reader:
            place, found = (line.pop("path") or "").strip(), True
            if not place:
                raise InputError(f"images: line {reader.line_num} of {file} has no path")
            if groups is not None:
                check_cell(line[groups], groups, f"line {reader.line_num} of {file}")
            yield place, {concept: value.strip() for concept, value in line.items() if value and value.strip()}
        if not found:
            raise InputError(f"images: {file} lists no image; expected a line an image below the column names")
