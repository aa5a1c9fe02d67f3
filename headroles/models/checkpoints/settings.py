"""JSON files beside weights, as others wrote them: an object, or a refusal that names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headroles.errors import InputError
from headroles.files.json_files import read_object

CONFIG = "config.json"
"""transformers' settings of a model."""
_POINTER = b"version https://git-lfs"
_SMALL = 1024
"""Bytes that a pointer of Git LFS does not reach."""


def read_settings(path: Path) -> dict[str, Any]:
    """The object in a JSON file; InputError where it is cut, nested beyond reason, or something else.

    A number that is none is left to who knows the setting.
    """
    return read_object(path, "model", "copy or download it again", finite=False)


def check_pointers(folder: Path) -> None:
    """InputError where a file of the folder is a pointer that Git LFS left instead of the file."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < _SMALL:
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise InputError(
                        f"model: {path} is a Git LFS pointer, not the file itself; get it: git lfs pull, in its folder"
                    )
