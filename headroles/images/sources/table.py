"""TableImages: image files that a CSV file lists."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from headroles.errors import InputError
from headroles.files.packed_paths import PackedNames, PackedPaths
from headroles.files.tables import open_table
from headroles.images.groups import check_cell
from headroles.images.images import ImageFiles, Preprocess, spread


class TableImages(ImageFiles):
    """The files of a column (default: path), relative to the CSV file's folder or absolute, in the file's order.

    `count`: only so many, spread evenly over them.
    """

    def __init__(self, file: Path, preprocess: Preprocess, column: str | None = None, count: int | None = None) -> None:
        with open_table(file, "images") as reader:
            names = PackedNames(_cells(file, reader, column or "path"))
        if not names:
            raise InputError(f"images: {file} lists no image; expected a line an image below the column names")
        self.table, self.chosen = file, spread(count, len(names))
        paths = PackedPaths(file.parent, (names[number] for number in self.chosen))
        super().__init__(paths, preprocess, file.parent)

    def group_names(self, by: str) -> Iterator[str]:
        """Every image's cell of a column; InputError where there is no such column, or the cell is empty."""
        with open_table(self.table, "groups") as reader:
            if by not in (reader.fieldnames or ()):
                has = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError(f"groups: {self.table} has no column {by!r}; its columns: {has}")
            rows = ((line[by], f"line {reader.line_num} of {self.table}") for line in reader)
            names = PackedNames(check_cell(cell, by, place) for cell, place in rows)
        return (names[number] for number in self.chosen)


def _cells(file: Path, reader: csv.DictReader, column: str) -> Iterator[str]:
    columns = reader.fieldnames or []
    if column not in columns:
        has = ", ".join(columns) or "none"
        raise InputError(f"images: {file} has no column {column!r}; its columns: {has}; name one with --column")
    for line in reader:
        name = (line[column] or "").strip()
        if not name:
            raise InputError(f"images: line {reader.line_num} of {file} has no {column}")
        yield name
