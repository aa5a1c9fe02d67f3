"""Does a concept's heads' neighbourhood share the concept's value? Precision at k on labelled images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.reading import announce, describe_images
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.judged import Judged
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import concept_shares
from headroles.roles.role_map import RoleMap
from headroles.shapes.world import ABSENT
from headroles.uses.head_space import head_weights
from headroles.uses.hits import find_hits
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import index_in_memory
from headroles.uses.precision import PrecisionAtK, PrecisionRow

BLOCKS = 32
"""Blocks of images that tell whether neighbours are alike."""


def chance(codes: Int[ndarray, "image"]) -> float:
    """Precision of neighbours drawn at random, for queries that have a value."""
    present: Bool[ndarray, "image"] = codes != ABSENT
    counts = np.bincount(codes[present])
    if len(codes) < 2 or not present.any():
        return float("nan")
    return float((counts * (counts - 1)).sum() / (present.sum() * (len(codes) - 1)))


@typed
def precision_at_k(
    role_map: RoleMap | str | os.PathLike[str],
    images: LabelledImages | str | os.PathLike[str],
    *,
    k: int = 10,
    count: int | None = None,
    seed: int = 1,
    allow_overlap: bool = False,
    model: HookedCLIP | str | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
    groups: str | Sequence[Any] | None = None,
) -> PrecisionAtK:
    """How many of the first `k` neighbours share the query's value, for every concept that map and labels both know.

    `role_map`: the map, its file or its folder. `images`: labelled ones, or as `open_labelled` takes them with `count`,
    `groups` and `seed`. `model`: None for the one that the map names. Raises InputError where map and labels share no
    concept, there are no more than `k` readable images, or the map was scored on more than 1% of them (unless
    `allow_overlap`).
    """
    scored = RoleMap.of(role_map)
    if isinstance(images, LabelledImages):
        labelled = images.with_groups(groups)
    else:
        labelled = open_labelled(str(images), None, count, seed, groups=groups)
    shared = _shared(scored, labelled)
    clip = open_model(scored, model, device)
    ready = labelled if isinstance(images, LabelledImages) else labelled.with_preprocess(preprocess_of(clip))
    reading = announce(describe_images(ready.images, ready.name), ready.blocking).to_dict()
    judged = Judged(scored, ready.name, np.ones(len(ready), bool), allow_overlap)
    index, numbers = index_in_memory(clip, ready.images, scored.layers, batch, workers, judged)
    overlap = judged.finish()
    if len(index) <= k:
        raise InputError(f"k must be below the number of readable images, {len(index)}, got {k}")
    codes, blocks = ready.codes[numbers], ready.blocking.cut(ready.blocking.limit(BLOCKS))
    shared = [concept for concept in shared if (codes[:, ready.names.index(concept)] != ABSENT).any()]
    if not shared:
        raise InputError(f"images: no readable image of {ready.name} is labelled with a concept of the role map")
    block = blocks.of(torch.as_tensor(numbers)).numpy()
    rows = (_row(scored, index, codes[:, ready.names.index(concept)], concept, k, block) for concept in shared)
    acting = {"blocks": blocks.count, "blocks_by": ready.blocking.how}
    settings = record_ablation({"seed": seed, "allow_overlap": allow_overlap, **acting})
    return PrecisionAtK(scored.model, settings, ready.name, len(ready), k, tuple(rows), overlap, reading=reading)


def _shared(role_map: RoleMap, labelled: LabelledImages) -> list[str]:
    """Concepts that both know; InputError where there is none."""
    shared = [concept for concept in labelled.names if concept in role_map.concepts]
    if not shared:
        raise InputError(
            f"images: they are labelled with {', '.join(labelled.names)}, the role map speaks of "
            f"{', '.join(role_map.concepts)}; give images labelled with one of these"
        )
    return shared


def _row(
    role_map: RoleMap,
    index: ImageIndex,
    codes: Int[ndarray, "image"],
    concept: str,
    k: int,
    block: Int[ndarray, "image"],
) -> PrecisionRow:
    attribute, anyone = role_map.heads(role="attribute", concept=concept), role_map.heads(concept=concept)
    whole = find_hits(index, codes, k)
    by = find_hits(index, codes, k, head_weights(role_map, attribute)) if attribute else None
    wide = find_hits(index, codes, k, head_weights(role_map, anyone)) if anyone else None
    weighed = find_hits(index, codes, k, concept_shares(role_map, concept))
    return PrecisionRow(
        concept=concept,
        heads=",".join(sorted(head.name for head in attribute)),
        chance=chance(codes),
        whole=whole.precision(block),
        attribute=None if by is None else by.precision(block),
        any_role=None if wide is None else wide.precision(block),
        weighed=weighed.precision(block),
        gain=((weighed if by is None else by) - whole).precision(block),
    )
