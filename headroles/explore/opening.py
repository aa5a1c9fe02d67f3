"""An engine from whatever a user gives: a role map, its file or folder; a model or its name; images of any kind."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from headroles.checks import typed
from headroles.errors import InputError
from headroles.explore.engine import Engine
from headroles.images.images import with_preprocess
from headroles.images.labelled import LabelledImages
from headroles.images.pictures import Given, is_open, open_given
from headroles.images.reading import announce, describe_images
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.reports.illustrations import open_images
from headroles.roles.diff import check_comparable
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import check_tower
from headroles.roles.role_map import RoleMap


@typed
def open_engine(
    role_map: RoleMap | str | os.PathLike[str],
    model: HookedCLIP | str | None = None,
    images: LabelledImages | Given | None = None,
    *,
    classes: Sequence[str] | None = None,
    against: RoleMap | str | os.PathLike[str] | None = None,
    count: int = 200,
    seed: int = 0,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
) -> Engine:
    """What the page and the widget ask; opening it passes over the images once.

    `model`: None for the one that the role map names. `images`: a folder, labelled (CONCEPT/VALUE/) or not, a CSV
    file, "shapes" (scenes of `seed`), image files, PIL images, arrays; None for scenes with a bundled model. Of folders
    and scenes at most `count` are taken, spread evenly. `classes`: names to tell images among, to begin with; None for
    the values of the images' labels, or else texts of the role map. `against`: a role map, its file or folder, to show
    side by side, the heads that changed first. Raises InputError where the parts do not belong together, or cannot be
    read.
    """
    scored, beside = RoleMap.of(role_map), None if against is None else RoleMap.of(against)
    check_tower(scored)
    if beside is not None:
        check_comparable(scored, beside)
    if classes is not None and not classes:
        raise InputError("classes: expected names, got none; name some, or leave it out")
    given = _choose(images, scored)
    clip = open_model(scored, model, device)
    opened = _open(given, clip, count, seed)
    announce(describe_images(opened.images, opened.name, reader=clip))
    return Engine(scored, clip, opened, classes=classes, against=beside, batch=batch, workers=workers)


def _choose(images: LabelledImages | Given | None, role_map: RoleMap) -> LabelledImages | Given:
    if images is not None:
        return images
    if role_map.model.name not in BUNDLED:
        raise InputError(f"images: {role_map.model.name} brings none of its own; give a folder of images")
    return "shapes"


def _open(images: LabelledImages | Given, model: HookedCLIP, count: int, seed: int) -> LabelledImages:
    """Labelled images, of no concept where nothing is known of them."""
    if isinstance(images, LabelledImages):
        return images
    if isinstance(images, (str, os.PathLike)) and not _is_picture(images):
        return open_images(str(images), model, count, seed)
    opened = open_given(images)
    ready = opened if is_open(images) else with_preprocess(opened, preprocess_of(model))
    return LabelledImages("images", ready, (), np.zeros((len(ready), 0), int))  # type: ignore[arg-type]


def _is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether it is a file, and no table of files."""
    return os.path.isfile(path) and os.path.splitext(path)[1].lower() != ".csv"
