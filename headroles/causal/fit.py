"""Whether a role map, labelled images and a model belong together: said before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from headroles.errors import InputError
from headroles.images.images import ShapesImages
from headroles.images.labelled import LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


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
    """InputError where no labelled concept has Attribute heads, or the scenes are those that were scored."""
    tested = {head.concept for head in role_map.heads(role="attribute")}
    if not tested:
        raise InputError("role map: it has no Attribute head to test; score with --roles-by quantile or a larger --low")
    if not tested & set(images.names):
        raise InputError(
            f"images: they are labelled with {', '.join(images.names)}, and no such concept has Attribute heads; "
            f"these have: {', '.join(sorted(tested))}"
        )
    seed = images.images.seed if isinstance(images.images, ShapesImages) else None
    if seed is not None and role_map.images.source == "shapes" and role_map.settings.get("seed") == seed:
        raise InputError(f"seed: {seed} is that of the scenes that were scored; give another --seed")


def check_weights(role_map: RoleMap, model: HookedCLIP) -> None:
    """InputError where the role map describes another model's weights."""
    found = model.weights_hash()
    if role_map.model.weights_hash != found:
        raise InputError(
            f"role map: it describes weights {role_map.model.weights_hash[:12]}... ({role_map.model.name}), not those "
            f"of model {model.model_name} ({found[:12]}...); score this model, or give --model"
        )
