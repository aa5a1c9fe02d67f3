"""A diagnosis as an entry in a list of verified models."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from headroles.diagnosis.diagnosis import Diagnosis
from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.models.verified import VerifiedModel, own_list, read_list

_PACKAGES = ("headroles", "torch", "transformers")


def record(found: Diagnosis, file: str | os.PathLike[str] | None = None) -> Path:
    """Add a model that is read exactly to a list, by default the user's own, and return the list's file.

    Raises InputError where a check failed, and where the file is there and is no list of verified models.
    """
    if not found.ok:
        failed = found.failures[0]
        raise InputError(
            f"record: {found.model} is not read exactly ({failed.tower}, {failed.inputs}, {failed.dtype}: error "
            f"{failed.error:.1e}), so it is not recorded"
        )
    path = place_of(file)
    with locked(path.parent, f"{path.stem} list"):
        read_list(path).add(_entry(found)).save(path)
    return path


def place_of(file: str | os.PathLike[str] | None) -> Path:
    """The list's file, the user's own by default; InputError where it can be none."""
    path = own_list() if file is None else Path(file)
    if path.is_dir() or path.suffix != ".json":
        raise InputError(f"record: expected a file that ends in .json, got {path}")
    read_list(path)
    return path


def _entry(found: Diagnosis) -> VerifiedModel:
    errors: dict[str, float] = {}
    for check in found.exactness:
        name = f"{check.tower} {check.dtype}"
        errors[name] = max(errors.get(name, 0.0), float(f"{check.error:.1e}"))
    versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    today = datetime.now(timezone.utc).date().isoformat()
    return VerifiedModel(found.model, found.weights_hash, found.family, versions, errors, today)
