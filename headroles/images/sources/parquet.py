"""Images in parquet files: a column of encoded bytes, or of {bytes, path} as Hugging Face's `datasets` writes it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json
from headroles.files.packed_paths import PackedNames
from headroles.images.groups import check_cell
from headroles.images.images import Preprocess, spread
from headroles.images.sources.cells import choose_column, no_column, read_cell

PIP = "pip install 'headroles[datasets]'"
_ROWS = 16
"""Rows read at once: a row group may be as large as its file."""


class ParquetImages(Dataset):
    """The rows of parquet files, in order of the files, then of their rows. Footers alone are read before the pass."""

    def __init__(
        self, paths: Sequence[Path], preprocess: Preprocess, column: str | None = None, count: int | None = None
    ) -> None:
        self.paths, self.preprocess = list(paths), preprocess
        self.counts, self.column = _read_footers(self.paths, column)
        if not self.counts.sum():
            raise InputError(f"images: no row in {self.paths[0]}" + (" and the others" if len(self.paths) > 1 else ""))
        self.ends = self.counts.cumsum()
        self.chosen = spread(count, int(self.ends[-1]))
        self.root = Path(os.path.commonpath([path.parent for path in self.paths]))
        self._cursor: _Cursor | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: int) -> tuple[int, Tensor | str]:
        shard, row = self._locate(number)
        if self._cursor is None or not self._cursor.fits(shard):
            self._cursor = _Cursor(shard, self.paths[shard], self.column)
        try:
            cell = self._cursor.read(row)
        except Exception as error:  # pyarrow's own kinds, and OSError: the row's page is damaged.
            return number, f"{type(error).__name__}: {said(error, 200)}"
        return number, read_cell(cell, self.preprocess, self.paths[shard].parent)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cursor": None}

    def name(self, number: int) -> str:
        """Such as train.parquet row 7, counted from 0."""
        shard, row = self._locate(number)
        return f"{self.paths[shard].relative_to(self.root).as_posix()} row {row}"

    def fingerprint(self) -> str:
        """A hash of the files' names, their numbers of rows, the column, and the choice among the rows."""
        names = [path.relative_to(self.root).as_posix() for path in self.paths]
        parts = [names, self.counts.tolist(), self.column, len(self)]
        return hashlib.sha256(dump_json(parts).encode()).hexdigest()

    def group_names(self, by: str) -> Iterator[str]:
        """Every image's cell of a column; InputError where there is no such column, or the cell is empty."""
        cells = ((cell, f"row {row} of {path}") for path in self.paths for row, cell in enumerate(_column(path, by)))
        names = PackedNames(check_cell(cell, by, place) for cell, place in cells)
        return (names[number] for number in self.chosen)

    def _locate(self, number: int) -> tuple[int, int]:
        """(file, row) of an image."""
        place = self.chosen[number]
        shard = int(np.searchsorted(self.ends, place, side="right"))
        return shard, place - int(self.ends[shard] - self.counts[shard])


class _Cursor:
    """One open file, read forwards in small steps; a row that lies behind starts its row group again."""

    def __init__(self, shard: int, path: Path, column: str) -> None:
        parquet = _import(path)
        self.shard, self.column, self.process = shard, column, os.getpid()
        self.file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        sizes = [self.file.metadata.row_group(group).num_rows for group in range(self.file.num_row_groups)]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.group, self.first, self.rows, self.steps = -1, 0, (), iter(())
        self.error: Exception | None = None

    def fits(self, shard: int) -> bool:
        """Whether it is on this file, and was opened in this process: an open file is not shared with a fork."""
        return self.shard == shard and self.process == os.getpid()

    def read(self, row: int) -> Any:
        """The cell of a row of the file."""
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        if group != self.group or row < self.first:
            self.group, self.first, self.rows = group, int(self.starts[group]), ()
            self.steps = self.file.iter_batches(_ROWS, row_groups=[group], columns=[self.column])
            self.error = None
        if self.error is not None:
            raise self.error
        try:
            self._advance(row)
        except Exception as error:
            self.error = error  # What follows in this group cannot be found either.
            raise
        return self.rows[row - self.first].as_py()

    def _advance(self, row: int) -> None:
        while row >= self.first + len(self.rows):
            self.first += len(self.rows)
            self.rows = next(self.steps).column(0)
            self.rows.validate(full=True)


def _read_footers(paths: list[Path], wanted: str | None) -> tuple[np.ndarray, str]:
    """Rows of every file, and the column that holds images, the same one in all files."""
    parquet, counts, column = _import(paths[0]), [], wanted
    for path in paths:
        try:
            footer = parquet.read_metadata(path)
            schema = footer.schema.to_arrow_schema()
        except Exception as error:  # pyarrow's own kinds, and OSError
            why = said(error, 200)
            raise InputError(f"images: cannot read {path} as a parquet file ({why})") from error
        columns = {field.name: _may_hold_images(field.type) for field in schema}
        found = choose_column(columns, column)
        if found is None:
            raise InputError(no_column(columns, column, str(path)))
        column = found
        counts.append(footer.num_rows)
    return np.array(counts, dtype=np.int64), cast(str, column)  # There is at least one file.


def _column(path: Path, name: str) -> Iterator[Any]:
    """The cells of a column, which is no column of images."""
    file = _import(path).ParquetFile(path)
    columns = file.schema_arrow.names
    if name not in columns:
        raise InputError(f"groups: {path} has no column {name!r}; its columns: {', '.join(columns)}")
    try:
        for batch in file.iter_batches(columns=[name]):
            yield from batch.column(0).to_pylist()
    except Exception as error:  # pyarrow's own kinds, and OSError
        why = said(error, 200)
        raise InputError(f"groups: cannot read column {name!r} of {path} ({why})") from error


def _may_hold_images(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _may_hold_images(kind.field("bytes").type)
    if types.is_dictionary(kind):
        return _may_hold_images(kind.value_type)
    tests = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(test(kind) for test in tests)


def _import(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"images: {path} is a parquet file and needs the package pyarrow; {PIP}") from error
    return parquet
