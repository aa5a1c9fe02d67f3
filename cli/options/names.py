"""Lists of names in one option, separated by commas, or a file of them."""

from __future__ import annotations

import csv
from pathlib import Path


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas; "none" is none. A name with a comma stands in quotes; @FILE holds a name a line."""
    if text.startswith("@"):
        return read_names(Path(text[1:]).expanduser())
    if text.strip() == "none":
        return ()
    (cells,) = csv.reader([text], skipinitialspace=True) if '"' in text else ([*text.split(",")],)
    return tuple(name.strip() for name in cells if name.strip())


def read_names(path: Path) -> tuple[str, ...]:
    """The lines of a file that are not empty, without space around them."""
    return tuple(map(str.strip, read_lines(path)))


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a file that are not empty."""
    from headroles.errors import InputError, said

    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"names: cannot read {path} ({said(error)}); expected UTF-8 text, a name a line") from error
    lines = tuple(line.rstrip("\r") for line in text.split("\n") if line.strip())
    if not lines:
        raise InputError(f"names: {path} is empty; expected a name a line")
    return lines
