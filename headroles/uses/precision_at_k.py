"""Does a concept's heads' neighbourhood share the concept's value? Precision at k on labelled images."""

from __future__ import annotations

import os

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.reading import announce, describe_images
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import concept_shares
from headroles.roles.role_map import RoleMap
from headroles.shapes.world import ABSENT
from headroles.uses.head_space import HeadSpace, embedding_rows, head_weights, top_rows
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import index_in_memory
from headroles.uses.precision import Precision, PrecisionAtK, PrecisionRow

_QUERIES = 512
"""Queries searched at once."""


def hits(
    index: ImageIndex,
    codes: Int[ndarray, "image"],
    k: int = 10,
    weights: Float[ndarray, "layer head"] | None = None,
    center: bool = False,
) -> Float[ndarray, "query"]:
    """Every labelled image's share of k neighbours with its own value; an image without a value is a miss.

    Neighbours by the heads of `weights`, or by the whole embedding without; `center` takes the mean embedding off.
    """
    rows = embedding_rows(index, center) if weights is None else HeadSpace(index, weights).rows
    queries = np.flatnonzero(codes != ABSENT)
    found = []
    for start in range(0, len(queries), _QUERIES):
        own = queries[start : start + _QUERIES]
        vectors = np.concatenate([rows(row, row + 1) for row in own])
        near, _ = top_rows(rows, len(index), vectors, k, own)
        found.append((codes[near] == codes[own, None]).mean(1))
    return np.concatenate(found) if found else np.zeros(0)


def summarize(values: Float[ndarray, "query"], draws: int = 1000, seed: int = 0) -> Precision:
    """Mean and bootstrap interval over queries; of paired differences just as well."""
    if not len(values):
        return Precision(float("nan"), (float("nan"), float("nan")), 0)
    rng = np.random.default_rng([seed, 5])
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Precision(float(values.mean()), (float(low), float(high)), len(values))


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
    seed: int = 0,
    model: HookedCLIP | str | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
) -> PrecisionAtK:
    """How many of the first `k` neighbours share the query's value, for every concept that map and labels both know.

    `role_map`: the map, its file or its folder. `images`: labelled ones, or as `open_labelled` takes them with `count`
    and `seed`, which is also that of the resamples. `model`: None for the one that the map names. Raises InputError
    where map and labels share no concept, or there are no more than `k` readable images.
    """
    scored = RoleMap.of(role_map)
    labelled = images if isinstance(images, LabelledImages) else open_labelled(str(images), None, count, seed)
    shared = _shared(scored, labelled)
    clip = open_model(scored, model, device)
    ready = labelled if isinstance(images, LabelledImages) else labelled.with_preprocess(preprocess_of(clip))
    reading = announce(describe_images(ready.images, ready.name)).to_dict()
    index, numbers = index_in_memory(clip, ready.images, scored.layers, batch, workers)
    if len(index) <= k:
        raise InputError(f"k must be below the number of readable images, {len(index)}, got {k}")
    codes = ready.codes[numbers]
    rows = (_row(scored, index, codes[:, ready.names.index(concept)], concept, k, seed) for concept in shared)
    settings = record_ablation({"seed": seed})
    return PrecisionAtK(scored.model, settings, ready.name, len(ready), k, tuple(rows), reading=reading)


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
    role_map: RoleMap, index: ImageIndex, codes: Int[ndarray, "image"], concept: str, k: int, seed: int
) -> PrecisionRow:
    attribute, anyone = role_map.heads(role="attribute", concept=concept), role_map.heads(concept=concept)
    whole = hits(index, codes, k)
    by = hits(index, codes, k, head_weights(role_map, attribute)) if attribute else None
    wide = hits(index, codes, k, head_weights(role_map, anyone)) if anyone else None
    weighed = hits(index, codes, k, concept_shares(role_map, concept))
    return PrecisionRow(
        concept=concept,
        heads=",".join(sorted(head.name for head in attribute)),
        chance=chance(codes),
        whole=summarize(whole, seed=seed),
        attribute=None if by is None else summarize(by, seed=seed),
        any_role=None if wide is None else summarize(wide, seed=seed),
        weighed=summarize(weighed, seed=seed),
        gain=summarize((weighed if by is None else by) - whole, seed=seed),
    )
