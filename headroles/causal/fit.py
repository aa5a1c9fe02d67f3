"""Whether a role map and labelled images belong together: said before a model is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from headroles.errors import InputError
from headroles.images.labelled import LabelledImages
from headroles.roles.role_heads import check_tower
from headroles.roles.role_map import SILENT, RoleMap


def choose_concepts(images: LabelledImages, names: Sequence[str] | None) -> LabelledImages:
    """The same images, labelled with these concepts alone; InputError for one that they are not labelled with."""
    if not names:
        return images
    unknown = [name for name in names if name not in images.names]
    if unknown:
        raise InputError(f"concepts: the images are not labelled with {unknown[0]!r}, but {', '.join(images.names)}")
    columns = [column for column, name in enumerate(images.names) if name in names]
    concepts = tuple(images.concepts[column] for column in columns)
    return dataclasses.replace(images, concepts=concepts, codes=images.codes[:, columns])


def check_labels(role_map: RoleMap, images: LabelledImages) -> None:
    """InputError where no labelled concept has Attribute heads, or the heads are of a text tower."""
    check_tower(role_map)
    tested = {head.concept for head in role_map.heads(role="attribute")}
    if all(head.role == SILENT for head in role_map):
        raise InputError("role map: all its heads are silent, so there is nothing to test; score on other images")
    if not tested:
        raise InputError(
            "role map: it has no Attribute head to test; score with --roles-by quantile or a larger --low",
            page="no-attribute-head",
        )
    if not tested & set(images.names):
        raise InputError(
            f"images: they are labelled with {', '.join(images.names)}, and no such concept has Attribute heads; these "
            f"have: {', '.join(sorted(tested))}. Give a folder CONCEPT/VALUE/IMAGE or a CSV path,CONCEPT...; in "
            "a folder VALUE/IMAGE the folder's name is the concept"
        )
