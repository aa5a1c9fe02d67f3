"""Groups: images that belong together, such as the frames of a film, and are drawn together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from headroles.errors import InputError

FOLDER = "folder"
"""Groups of image files that no table lists: those of one folder."""
_FEW = 10
"""Groups below which an interval over them is rough."""


@dataclass(frozen=True)
class Groups:
    """Which images belong together."""

    name: str
    """The column, or "folder"; "given" where every image's group was given."""
    codes: Int[ndarray, "image"] = field(repr=False)
    """Every image's group, from 0, in order of their first images."""

    @classmethod
    def of(cls, labels: Iterable[Any], name: str = "given") -> Groups:
        """The images with the same label are one group; InputError where there are fewer than two groups."""
        numbers: dict[Any, int] = {}
        codes = np.fromiter((numbers.setdefault(label, len(numbers)) for label in labels), dtype=np.int64)
        if len(numbers) < 2:
            only = f"one group, {next(iter(numbers))!r}" if numbers else "no group"
            raise InputError(
                f"groups: {name} puts all {len(codes):,} images into {only}; an interval needs at least two groups: "
                "give another column, or leave it out for blocks of neighbours"
            )
        return cls(name, codes)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.codes.max()) + 1

    def select(self, rows: Int[ndarray, "image"]) -> Groups:
        """Those of some of the images."""
        return Groups.of(self.codes[rows].tolist(), self.name)

    def remark(self) -> str | None:
        """What to say of intervals over so few groups; None where there are enough."""
        if self.count >= _FEW:
            return None
        return f"groups: {self.count} by {self.name}; under {_FEW}, intervals and stability are rough"


def find_groups(images: Any, by: str | Sequence[Any], name: str = "given") -> Groups:
    """The groups of opened images.

    `by`: a column of what the images come from, "folder" for the folder of each file, or one label an image, which are
    called `name`. Raises InputError where there is no such column, an image has none, or all have the same.
    """
    if isinstance(by, str):
        return Groups.of(_read(images, by), by)
    if not hasattr(images, "__len__"):
        raise InputError("groups: a stream's images are not counted beforehand; give the name of a column")
    if len(by) != len(images):
        raise InputError(f"groups: {len(by)} are given for {len(images)} images; give one for each")
    return Groups.of(by, name)


def _read(images: Any, by: str) -> Iterator[str]:
    """Every image's group, as its source has it; `folder` where files or members of archives have names."""
    read = getattr(images, "group_names", None)
    if read is not None:
        return read(by)
    raise InputError(
        f"groups: these images have no {by!r}; give a column of a CSV file, of parquet files or of a data set, or "
        f"{FOLDER} for a folder of image files"
    )


def folder_names(images: Any, by: str, what: str) -> Iterator[str]:
    """The folder of every image of a source whose images have paths for names."""
    if by != FOLDER:
        raise InputError(f"groups: {what} has no column {by!r}; give {FOLDER}, or list the images in a CSV file")
    return (dirname(images.name(number)) for number in range(len(images)))


def check_cell(cell: Any, by: str, place: str) -> str:
    """A cell of the column of groups; InputError where it is empty."""
    text = "" if cell is None else str(cell).strip()
    if not text:
        raise InputError(f"groups: {place} has no {by}; give every image a group")
    return text
