"""Tables that users write: CSV files in UTF-8, read with one message for whatever is wrong with the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headroles.errors import InputError


@contextmanager
def open_table(path: Path, what: str) -> Iterator[csv.DictReader]:
    """A reader of the rows by column name; what cannot be read while it is open is an InputError about `what`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            yield csv.DictReader(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{what}: cannot read {path} ({error}); expected UTF-8 text with commas") from error
