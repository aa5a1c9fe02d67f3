"""What makes a role map rough, said beside it."""

from __future__ import annotations

from headroles.heads.silence import FEW_IMAGES
from headroles.images.notes import warn
from headroles.roles.role_map import SILENT, RoleMap


def tell_doubts(role_map: RoleMap) -> None:
    """Say, as other remarks on images, that there were few of them, or that they tell heads nothing."""
    count = role_map.images.count
    if not count:
        return
    what = "texts" if role_map.tower == "text" else "images"
    if "ablation" not in role_map.settings and all(head.role == SILENT for head in role_map):
        warn(f"all {what} give the same output, so all heads are silent and none has a role; give {what} that differ")
        return
    even = 1 / len(role_map.concepts) + 1e-5
    blind = sum(head.role != SILENT and head.concept_share <= even for head in role_map)
    if role_map.probe_kind == "image" and blind:
        warn(
            f"{blind} of {len(role_map)} heads follow none of the labelled concepts for certain; their entropy is 1 "
            "for lack of evidence, not because they follow all: labels of other concepts, or more images, may tell"
        )
    if count < FEW_IMAGES and what == "texts":
        warn(f"roles of {count} texts are rough; score {FEW_IMAGES} or more")
    elif count < FEW_IMAGES:
        warn(
            f"roles of {count} images are rough: with 20 an eighth of the heads had other roles than with 2,000; score "
            f"{FEW_IMAGES} or more"
        )
