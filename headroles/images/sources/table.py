"""Image files that a CSV file lists."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from headroles.errors import InputError
from headroles.files.packed_paths import PackedNames, PackedPaths
from headroles.files.tables import open_table
from headroles.images.images import spread


def read_paths(file: Path, column: str | None = None, count: int | None = None) -> PackedPaths:
    """The files of a column (default: path), relative to the CSV file's folder or absolute, in the file's order."""
    column = column or "path"
    with open_table(file, "images") as reader:
        names = PackedNames(_cells(file, reader, column))
    if not names:
        raise InputError(f"images: {file} lists no image; expected a line an image below the column names")
    return PackedPaths(file.parent, (names[number] for number in spread(count, len(names))))


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
