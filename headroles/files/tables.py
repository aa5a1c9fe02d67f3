"""Tables that users write: CSV files in UTF-8, read with one message for whatever is wrong with the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError, said

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LONGEST = 2**31 - 1
"""Characters of a cell: Python's own limit is 131,072."""


class Rows(csv.DictReader):
    """Rows by column name; InputError where a row has more cells than there are columns, or a column is there twice."""

    def __init__(self, text: Iterable[str], path: Path | str, what: str, delimiter: str) -> None:
        super().__init__(text, delimiter=delimiter, strict=True)
        self.path, self.what = path, what
        columns = list(self.fieldnames or ())
        for column in columns:
            if column.strip() and columns.count(column) > 1:
                raise InputError(f"{what}: {path} has {columns.count(column)} columns {column!r}; keep one of them")

    def __next__(self) -> dict:
        row = super().__next__()
        extra = row.get(None)  # What csv calls the cells beyond the last column.
        if extra and any(cell.strip() for cell in extra):
            columns = len(self.fieldnames or ())
            raise InputError(
                f"{self.what}: line {self.line_num} of {self.path} has {columns + len(extra)} cells for {columns} "
                "columns; put cells that hold a comma in quotes"
            )
        row.pop(None, None)
        return row


_OPEN_QUOTE = "unexpected end of data"
"""What Python's csv calls a quote that nothing closes."""


@contextmanager
def open_table(
    path: Path | Traversable, what: str, delimiter: str = ",", name: str | None = None
) -> Iterator[csv.DictReader]:
    """A reader of the rows by column name; what cannot be read while it is open is an InputError about `what`.

    Rows come one by one. Cells in quotes may hold line breaks, commas and any length. `name`: what to call the file;
    None: its path.
    """
    before, name = csv.field_size_limit(_LONGEST), str(path) if name is None else name
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            yield Rows(text, name, what, delimiter)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        between = "tabs" if delimiter == "\t" else "commas"
        why = "a quoted cell has no end" if _OPEN_QUOTE in str(error) else said(error)
        raise InputError(f"{what}: cannot read {name} ({why}); expected UTF-8 text with {between}") from error
    finally:
        csv.field_size_limit(before)
