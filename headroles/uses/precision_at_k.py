"""Does a concept's heads' neighbourhood share the concept's value? Precision at k on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.images.labelled import ABSENT, LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_heads import concept_shares
from headroles.roles.role_map import RoleMap
from headroles.uses.image_index import ImageIndex, index_in_memory
from headroles.uses.retrieve import HeadSpace, head_weights, top_rows

_QUERIES = 512
"""Queries searched at once."""


@dataclass(frozen=True)
class Precision:
    """Share of the first k neighbours with the query's value, mean over queries, each with a 95% interval."""

    mean: float
    interval: tuple[float, float]
    """95% bootstrap over queries."""
    queries: int


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
    if weights is not None:
        rows = HeadSpace(index, weights).rows
    else:
        mean = index.embeddings.mean(0, dtype=np.float64).astype(np.float32) if center else np.float32(0)

        def rows(start: int, stop: int) -> Float[ndarray, "image embed"]:
            return np.asarray(index.embeddings[start:stop], np.float32) - mean

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


@dataclass(frozen=True)
class PrecisionRow:
    """One concept's precision at k, by several ways to search."""

    concept: str
    heads: str
    """Its Attribute heads, or none."""
    chance: float
    whole: Precision
    """By the whole embedding."""
    attribute: Precision | None
    """By the concept's Attribute heads; None where it has none."""
    any_role: Precision | None
    """By all heads whose dominant concept it is; None where there is none."""
    weighed: Precision
    """By all scored heads, each times its P(concept)."""
    gain: Precision | None
    """`attribute` minus `whole`, paired by query; where there are no Attribute heads, `weighed` minus `whole`."""


def precision_rows(
    model: HookedCLIP,
    role_map: RoleMap,
    labelled: LabelledImages,
    k: int = 10,
    *,
    seed: int = 0,
    batch: int = 64,
    workers: int = 0,
) -> list[PrecisionRow]:
    """Precision at k of every concept that both the role map and the labels know; InputError where there is none."""
    shared = [concept for concept in labelled.names if concept in role_map.concepts]
    if not shared:
        raise InputError(
            f"images: they are labelled with {', '.join(labelled.names)}, the role map speaks of "
            f"{', '.join(role_map.concepts)}; give images labelled with one of these"
        )
    index, numbers = index_in_memory(model, labelled.images, role_map.layers, batch, workers)
    if len(index) <= k:
        raise InputError(f"k must be below the number of readable images, {len(index)}, got {k}")
    codes = labelled.codes[numbers]
    return [_row(role_map, index, codes[:, labelled.names.index(concept)], concept, k, seed) for concept in shared]


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


def to_table(rows: Sequence[PrecisionRow], k: int, source: str, count: int) -> str:
    """A Markdown table, percent with 95% intervals."""

    def show(value: Precision | None) -> str:
        return (
            "-"
            if value is None
            else f"{100 * value.mean:.1f} [{100 * value.interval[0]:.1f}, {100 * value.interval[1]:.1f}]"
        )

    lines = [
        f"precision@{k} on {count:,} images ({source}), percent, 95% bootstrap over queries",
        "",
        "| concept | chance | whole embedding | Attribute heads | all heads of the concept | all heads by P | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = f"{row.concept} ({row.heads or 'none'})"
        cells = (show(each) for each in (row.whole, row.attribute, row.any_role, row.weighed, row.gain))
        lines.append(f"| {name} | {100 * row.chance:.1f} | " + " | ".join(cells) + " |")
    above = sum(row.gain.interval[0] > 0 for row in rows)
    lines += ["", f"gain: Attribute heads (without any: all heads by P) minus whole embedding; above 0 for {above} of "
              f"{len(rows)} concepts"]  # fmt: skip
    return "\n".join(lines)
