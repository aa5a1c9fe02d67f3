"""explore(): the page as a notebook's widget, where anywidget is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from headroles.errors import InputError
from headroles.explore.opening import open_engine
from headroles.images.labelled import LabelledImages
from headroles.images.pictures import Given
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

if TYPE_CHECKING:
    from headroles.explore.widget import Explorer


def explore(
    role_map: RoleMap | str | os.PathLike[str],
    model: HookedCLIP | str | None = None,
    images: LabelledImages | Given | None = None,
    **options: Any,
) -> Explorer:
    """A widget to play with heads; arguments and options as `open_engine` has them.

    Raises InputError without anywidget, and where the parts do not belong together.
    """
    try:
        from headroles.explore.widget import Explorer
    except ModuleNotFoundError as error:
        raise InputError(
            f'explore: the widget needs {error.name}, which is not installed; pip install "headroles[notebook]"'
        ) from error
    return Explorer(open_engine(role_map, model, images, **options))
