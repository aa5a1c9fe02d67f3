"""A user's own texts: a file of one a line, a table with a column of them, or the texts of a bank."""

from __future__ import annotations

import os
from pathlib import Path

from headroles.errors import InputError, said
from headroles.files.tables import open_table
from headroles.roles.probes import BUNDLED, load_texts


def read_texts(source: str | os.PathLike) -> tuple[str, tuple[str, ...]]:
    """Name and texts of a bundled bank, of a CSV file with the column `text`, or of any other file, one a line.

    Empty lines are left out. Raises InputError for fewer than two texts, as no spread comes of them.
    """
    if str(source) in BUNDLED:
        return load_texts(source)
    path = Path(source)
    if not path.is_file():
        raise InputError(f"texts: no file {source}; expected one text a line, or a CSV file with the column text")
    lines = _read_table(path) if path.suffix.lower() == ".csv" else _read_lines(path)
    texts = tuple(line.strip() for line in lines if line.strip())
    if len(texts) < 2:
        raise InputError(f"texts: {path.name} holds {len(texts)}; heads need at least two to differ on")
    return path.name, texts


def _read_table(path: Path) -> list[str]:
    with open_table(path, "texts") as reader:
        if "text" not in (reader.fieldnames or ()):
            raise InputError(f"texts: {path.name} has no column 'text'; name the column of texts so")
        return [row["text"] or "" for row in reader]


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"texts: cannot read {path} ({said(error)}); expected UTF-8, one text a line") from error
