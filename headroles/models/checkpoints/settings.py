"""JSON files beside weights, as others wrote them: an object, or a refusal that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headroles.errors import InputError

_POINTER = b"version https://git-lfs"
_SMALL = 1024
"""Bytes that a pointer of Git LFS does not reach."""


def read_settings(path: Path) -> dict[str, Any]:
    """The object in a JSON file; InputError where it is cut, nested beyond reason, or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"model: {path} is no whole JSON file ({error}); copy or download it again") from error
    if not isinstance(found, dict):
        raise InputError(f"model: {path} holds a {type(found).__name__}, expected an object of settings")
    return found


def check_pointers(folder: Path) -> None:
    """InputError where a file of the folder is a pointer that Git LFS left instead of the file."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < _SMALL:
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise InputError(
                        f"model: {path} is a Git LFS pointer, not the file itself; get it: git lfs pull, in its folder"
                    )
