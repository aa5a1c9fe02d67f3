"""Images whose concept values are known: to ask what a head does, beside what its texts say.

An image has at most one value of each concept; -1 (`ABSENT`) where a concept does not apply or is not labelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.files.tables import open_table
from headroles.images.images import ImageFiles, Preprocess, ShapesImages, find_images, undecided, with_preprocess
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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """The concepts' names."""
        return tuple(concept.name for concept in self.concepts)

    def with_preprocess(self, preprocess: Preprocess) -> LabelledImages:
        """The same images as another model wants them: they can be opened before any model is loaded."""
        return replace(self, images=with_preprocess(self.images, preprocess))


def open_labelled(
    source: str | Path, preprocess: Preprocess | None, count: int | None = None, seed: int = 0, template: str = TEMPLATE
) -> LabelledImages:
    """Labelled images: "shapes" (rendered scenes), a folder CONCEPT/VALUE/IMAGE or VALUE/IMAGE, or a CSV file.

    The CSV file has a column `path` (relative to the file) and one column a concept; an empty cell is `ABSENT`. The
    concept of a folder VALUE/IMAGE has the folder's name. `count`: rendered scenes (default 2000), or at most so many
    files, spread evenly. `seed` is that of the scenes. `template` holds {} for a value; scenes have texts of their own.
    `preprocess`: the model's; None where `with_preprocess` follows. Raises InputError where there is nothing to read,
    or no concept has two values.
    """
    if str(source) == "shapes":
        return _scenes(preprocess, count or 2000, seed)
    path, left_out = Path(source), Counter[str]()
    if path.is_dir():
        rows = _folder_rows(path, left_out)
    elif path.is_file():
        rows = _csv_rows(path)
    else:
        raise InputError(f"images: {source} is no folder and no file; give shapes, a folder CONCEPT/VALUE/, or a CSV")
    if count is not None and count < len(rows):
        rows = [rows[number * len(rows) // count] for number in range(count)]
    home = path if path.is_dir() else path.parent
    files = ImageFiles([place for place, _ in rows], preprocess or undecided, home, left_out)
    return _labelled(path.resolve().name, files, [values for _, values in rows], template)


def _scenes(preprocess: Preprocess | None, count: int, seed: int) -> LabelledImages:
    from headroles.shapes import CONCEPTS, sample_scene, value_texts

    concepts = tuple(
        Concept(name, values, tuple(tuple(value_texts(name, value)) for value in values))
        for name, values in CONCEPTS.items()
    )
    codes = np.array([sample_scene(seed, index).labels for index in range(count)])
    return LabelledImages("shapes", ShapesImages(preprocess or undecided, count, seed), concepts, codes)


def _labelled(name: str, files: ImageFiles, rows: Sequence[dict[str, str]], template: str) -> LabelledImages:
    known: dict[str, set[str]] = {}
    for row in rows:
        for concept, value in row.items():
            known.setdefault(concept, set()).add(value)
    concepts = tuple(
        Concept(concept, tuple(sorted(values)), tuple((text,) for text in write_prompts(template, sorted(values))))
        for concept, values in sorted(known.items())
        if len(values) > 1
    )
    if not concepts:
        raise InputError(f"images: {name} has no concept with two values; label images with different values")
    codes = np.full((len(rows), len(concepts)), ABSENT)
    for column, each in enumerate(concepts):
        number = {value: code for code, value in enumerate(each.values)}
        codes[:, column] = [number.get(row.get(each.name, ""), ABSENT) for row in rows]
    return LabelledImages(name, files, concepts, codes)


def _folder_rows(folder: Path, left_out: Counter[str]) -> list[tuple[Path, dict[str, str]]]:
    """(file, its values) of a folder CONCEPT/VALUE/... or VALUE/...; the depth of the first file decides."""
    found = [(path, path.relative_to(folder).parts[:-1]) for path in find_images(folder, left_out)]
    depth = min(len(parts) for _, parts in found)
    if depth == 0:
        raise InputError(f"images: {folder} has unlabelled images; expected {folder}/CONCEPT/VALUE/IMAGE or a CSV")
    if depth == 1:
        return [(path, {folder.resolve().name: parts[0]}) for path, parts in found]
    return [(path, {parts[0]: parts[1]}) for path, parts in found]


def _csv_rows(file: Path) -> list[tuple[Path, dict[str, str]]]:
    with open_table(file, "images") as reader:
        lines = list(reader)
    if not lines or "path" not in lines[0] or len(lines[0]) < 2:
        raise InputError(f"images: {file} needs a column path and one column a concept; the images are unlabelled")
    rows = []
    for number, line in enumerate(lines, start=2):
        place = (line.pop("path") or "").strip()
        line.pop(None, None)
        if not place:
            raise InputError(f"images: line {number} of {file} has no path")
        values = {concept: value.strip() for concept, value in line.items() if value and value.strip()}
        rows.append((file.parent / place, values))
    return rows
