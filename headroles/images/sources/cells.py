"""An image in a table's cell, as Hugging Face's `datasets` writes it: encoded bytes, or bytes and a path."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from torch import Tensor

from headroles.images.images import Preprocess, read_pixels


def read_cell(cell: Any, preprocess: Preprocess, folder: Path | None = None) -> Tensor | str:
    """Pixels of a cell of bytes, or of {bytes, path}; a path is relative to `folder`. Else, what is wrong with it."""
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if content is not None:
        return read_pixels(io.BytesIO(content), preprocess)
    if path is not None:
        return read_pixels(folder / path if folder else Path(path), preprocess)
    return "ValueError: the cell holds no image"


def choose_column(columns: dict[str, bool], wanted: str | None) -> str | None:
    """The column that is `wanted`, else the only one that may hold images, else the one named image.

    `columns`: name -> whether it may hold images. Returns None where there is no such column or no telling.
    """
    able = [name for name, may in columns.items() if may]
    if wanted is not None:
        return wanted if wanted in able else None
    return able[0] if len(able) == 1 else "image" if "image" in able else None


def no_column(columns: dict[str, bool], wanted: str | None, where: str) -> str:
    """The message for where `choose_column` found none."""
    able = [name for name, may in columns.items() if may]
    if wanted is not None and wanted in columns:
        return f"images: column {wanted!r} of {where} holds no images; columns that do: {', '.join(able) or 'none'}"
    if wanted is not None:
        return f"images: {where} has no column {wanted!r}; its columns: {', '.join(columns)}"
    if able:
        return f"images: {where} has several columns that may hold images, {', '.join(able)}; choose with --column"
    return f"images: {where} has no column of images; its columns: {', '.join(columns)}"
