"""Tables that users write: CSV files in UTF-8, read with one message for whatever is wrong with the file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from headroles.errors import InputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LONGEST = 2**31 - 1
"""Characters of a cell: Python's own limit is 131,072."""


@contextmanager
def open_table(path: Path | Traversable, what: str, name: str | None = None) -> Iterator[csv.DictReader]:
    """A reader of the rows by column name; what cannot be read while it is open is an InputError about `what`.

    Rows come one by one. Cells in quotes may hold line breaks and commas. A row that has more cells than the header is
    refused, and a header with one name twice. `name`: what to call the file; None: its path.
    """
    before, name = csv.field_size_limit(_LONGEST), str(path) if name is None else name
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            yield _Rows(text, what, name)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what}: cannot read {name} ({error}); expected UTF-8 text with commas") from error
    finally:
        csv.field_size_limit(before)


class _Rows(csv.DictReader):
    def __init__(self, text: IO[str], what: str, name: str) -> None:
        super().__init__(text, strict=True)
        self.what, self.name = what, name
        twice = [column for column, times in Counter(filter(None, self.fieldnames or ())).items() if times > 1]
        if twice:
            raise InputError(f"{what}: {name} has two columns {twice[0]!r}; rename or remove one")

    def __next__(self) -> dict[str | Any, str | Any]:
        row = super().__next__()
        extra = row.pop(None, ())
        if any(cell.strip() for cell in extra):
            cells, columns = len(row) + len(extra), len(row)
            raise InputError(
                f"{self.what}: line {self.line_num} of {self.name} has {cells} cells, its header {columns}; put cells "
                'that hold a comma in quotes: "a, b"'
            )
        return row
