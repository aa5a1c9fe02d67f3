"""Role maps and their models from whatever a user gives: the objects themselves, names, files, folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.roles.role_heads import check_model
from headroles.roles.role_map import RoleMap

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP


def find_role_map(place: str | os.PathLike) -> Path:
    """The file of a role map: the place itself, or role_map.json in the folder that it is."""
    path = Path(place)
    return path / "role_map.json" if path.is_dir() else path


def open_role_map(role_map: RoleMap | str | os.PathLike) -> RoleMap:
    """A role map, or the one in a file or a folder of results; InputError where there is none."""
    return role_map if isinstance(role_map, RoleMap) else RoleMap.load(find_role_map(role_map))


def load_model(role_map: RoleMap, model: HookedCLIP | str | os.PathLike | None, device: str = "auto") -> HookedCLIP:
    """The model that is given, or the one of this name; None: the one that the role map names. Nothing is checked."""
    if model is not None and not isinstance(model, (str, os.PathLike)):
        return model
    from headroles.models.load import load  # Takes seconds, and some searches need no model.

    return load(str(model or role_map.model.name), device)


def open_model(role_map: RoleMap, model: HookedCLIP | str | os.PathLike | None, device: str = "auto") -> HookedCLIP:
    """`load_model`; InputError where it is not the one whose heads the role map describes."""
    clip = load_model(role_map, model, device)
    check_model(role_map, clip)
    return clip
