"""A search in an index: the images nearest to a query, by some heads and by the whole embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.uses.head_space import HeadSpace, embedding_rows, top_rows
from headroles.uses.image_index import ImageIndex
from headroles.uses.part_bases import Projectors
from headroles.uses.query import Query


@dataclass(frozen=True)
class Neighbour:
    """One image found."""

    name: str
    score: float
    """Cosine with the query."""


@dataclass(frozen=True)
class Found:
    """The neighbours of a query, best first."""

    query: str
    by_heads: tuple[Neighbour, ...]
    """By the chosen heads."""
    by_embedding: tuple[Neighbour, ...]
    """By the whole embedding."""


def search_index(
    index: ImageIndex,
    query: Query,
    weights: Float[ndarray, "layer head"],
    top: int = 8,
    projectors: Projectors | None = None,
) -> Found:
    """The `top` nearest images by the weighted heads and by the whole embedding; chunk by chunk of the index.

    `projectors`: of heads of which single directions count.
    """
    if len(index) < 2:
        raise InputError(f"images: a search needs at least two readable images, got {len(index)}")
    space = HeadSpace(index, weights, projectors)
    vector, own = space.of(query.heads[None]), None if query.row is None else np.array([query.row])
    near, cosine = top_rows(space.rows, len(index), vector, top, own)
    whole, whole_cosine = top_rows(embedding_rows(index), len(index), query.embedding[None], top, own)
    return Found(query.name, _neighbours(index, near[0], cosine[0]), _neighbours(index, whole[0], whole_cosine[0]))


def _neighbours(index: ImageIndex, rows: Int[ndarray, "rank"], cosine: Float[ndarray, "rank"]) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(index.names[row], round(float(score), 6)) for row, score in zip(rows, cosine, strict=True))
