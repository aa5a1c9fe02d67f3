"""The model of a role map, from whatever a user gives: the model itself, its name, or nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headroles.errors import InputError
from headroles.roles.role_heads import check_model
from headroles.roles.role_map import RoleMap

if TYPE_CHECKING:
    from headroles.images.images import Preprocess
    from headroles.models.hooked_clip import HookedCLIP


def open_model(role_map: RoleMap, model: HookedCLIP | str | os.PathLike[str] | None, device: str) -> HookedCLIP:
    """The model that is given, or the one of this name; None: the one that the role map names.

    Raises InputError where it is not the one whose heads the role map describes.
    """
    if model is None or isinstance(model, (str, os.PathLike)):
        from headroles.models.load import load  # Takes seconds, and some searches need no model.

        model = load(str(model or role_map.model.name), device)
    check_model(role_map, model)
    return model


def preprocess_of(model: HookedCLIP) -> Preprocess:
    """The model's image preprocessing; InputError for one that was put together without."""
    if model.processor is None:
        raise InputError(
            f"model: {model.model_name} has no image preprocessing; load it by name, or give preprocessed images"
        )
    return model.processor
