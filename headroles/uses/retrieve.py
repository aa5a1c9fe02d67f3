"""Images that one concept's heads find alike: neighbours by what these heads write, beside whole-embedding neighbours.

The heads' parts of the unit embedding are summed (each with a weight) and compared by cosine. A head writes mostly the
same into every image, which would make all cosines near 1; so the mean over the index is taken off first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from PIL import Image

from headroles.errors import InputError
from headroles.images.images import UNREADABLE, open_image
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.uses.image_index import ImageIndex

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

_CHUNK = 8192
"""Rows of the index held at once."""


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


@dataclass(frozen=True)
class Query:
    """An image to search with."""

    name: str
    heads: Float[ndarray, "layer head width"]
    embedding: Float[ndarray, "embed"]
    row: int | None = None
    """Its row of the index, which is not its own neighbour; None for an image from outside."""


class HeadSpace:
    """The centred, weighted sum of some heads' parts of the unit embedding, for the images of an index."""

    def __init__(self, index: ImageIndex, weights: Float[ndarray, "layer head"]) -> None:
        self.index = index
        self.places = np.argwhere(weights != 0)
        if not len(self.places):
            raise InputError("heads: all weights are zero; choose at least one head")
        parts = [index.bases[layer, head] * weights[layer, head] for layer, head in self.places]
        self.matrix = np.concatenate(parts).astype(np.float32)
        total = sum(self._take(start).sum(0, dtype=np.float64) for start in range(0, len(index), _CHUNK))
        self.mean = (total / len(index)).astype(np.float32)

    def rows(self, start: int = 0, stop: int | None = None) -> Float[ndarray, "image embed"]:
        """Sums of a stretch of the index."""
        stop = len(self.index) if stop is None else stop
        return (self._pick(self.index.heads[start:stop]) - self.mean) @ self.matrix

    def of(self, heads: Float[ndarray, "image layer head width"]) -> Float[ndarray, "image embed"]:
        """Sums of other images, centred as the index is."""
        return (self._pick(heads) - self.mean) @ self.matrix

    def _take(self, start: int) -> Float[ndarray, "image width"]:
        return self._pick(self.index.heads[start : start + _CHUNK])

    def _pick(self, heads: Float[ndarray, "image layer head width"]) -> Float[ndarray, "image width"]:
        return np.concatenate([heads[:, layer, head] for layer, head in self.places], 1).astype(np.float32)


def head_weights(role_map: RoleMap, heads: Sequence[HeadRole]) -> Float[ndarray, "layer head"]:
    """1 for the chosen heads, 0 for the rest of the scored ones."""
    weights = np.zeros((len(role_map.layers), role_map.model.heads), np.float32)
    for head in heads:
        weights[role_map.layers.index(head.layer), head.head] = 1
    return weights


def find_query(index: ImageIndex, path: Path, folder: Path, model: HookedCLIP | None) -> Query:
    """The query's row, where it is one of the indexed files, or the image itself, read with `model`."""
    row = _row_of(index, path, folder)
    if row is not None:
        return Query(index.names[row], np.array(index.heads[row]), np.array(index.embeddings[row]), row)
    from headroles.heads.moments import (
        observe_with_embedding,  # A search that reads no image needs no model's code either.
    )

    if model is None:
        raise InputError(f"query: {path} is not in the index, and there is no model to read it with")
    pixels = model.processor(open_query(path))
    heads, embedding = observe_with_embedding(model, pixels[None], index.layers)
    return Query(path.name, heads[0].float().cpu().numpy(), embedding[0].float().cpu().numpy())


def open_query(path: Path) -> Image.Image:
    """The image; InputError where it cannot be read."""
    try:
        return open_image(path)
    except UNREADABLE as error:
        why = f"{type(error).__name__}: {error}"
        raise InputError(f"query: {path} cannot be read ({why}); give another image") from error


def is_indexed(index: ImageIndex, path: Path, folder: Path) -> bool:
    """Whether a query is one of the indexed files, so that no model is needed."""
    return _row_of(index, path, folder) is not None


def retrieve(index: ImageIndex, query: Query, weights: Float[ndarray, "layer head"], top: int = 8) -> Found:
    """The `top` nearest images by the weighted heads and by the whole embedding; chunk by chunk of the index."""
    if len(index) < 2:
        raise InputError(f"images: a search needs at least two readable images, got {len(index)}")
    space = HeadSpace(index, weights)
    vector = space.of(query.heads[None])
    near, cosine = top_rows(space.rows, len(index), vector, top, _own(query))
    whole, whole_cosine = top_rows(_embedding_rows(index), len(index), query.embedding[None], top, _own(query))
    return Found(query.name, _neighbours(index, near[0], cosine[0]), _neighbours(index, whole[0], whole_cosine[0]))


Rows = Callable[[int, int], Float[ndarray, "image embed"]]
"""(start, stop) -> a stretch of the index's vectors."""


def top_rows(
    rows: Rows,
    count: int,
    queries: Float[ndarray, "query embed"],
    top: int,
    own: Int[ndarray, "query"] | None = None,
) -> tuple[Int[ndarray, "query rank"], Float[ndarray, "query rank"]]:
    """The rows of highest cosine with every query, and the cosines; equal ones by row.

    `rows(start, stop)` yields a stretch of the `count` vectors. `own`: a row that a query must not find (-1: none).
    """
    queries = _unit(queries.astype(np.float32))
    top = min(top, count - (own is not None and bool((own >= 0).all())))
    best_rows = np.zeros((len(queries), 0), np.int64)
    best = np.zeros((len(queries), 0), np.float32)
    for start in range(0, count, _CHUNK):
        chunk = _unit(rows(start, min(start + _CHUNK, count)))
        cosine = queries @ chunk.T
        if own is not None:
            inside = (own >= start) & (own < start + len(chunk))
            cosine[np.flatnonzero(inside), own[inside] - start] = -np.inf
        merged = np.concatenate([best, cosine], 1)
        numbers = np.concatenate([best_rows, np.broadcast_to(np.arange(start, start + len(chunk)), cosine.shape)], 1)
        order = np.argsort(-merged, axis=1, kind="stable")[:, :top]
        best, best_rows = np.take_along_axis(merged, order, 1), np.take_along_axis(numbers, order, 1)
    return best_rows, best


def _embedding_rows(index: ImageIndex) -> Rows:
    return lambda start, stop: np.asarray(index.embeddings[start:stop], np.float32)


def _unit(rows: Float[ndarray, "row embed"]) -> Float[ndarray, "row embed"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def _own(query: Query) -> Int[ndarray, "query"] | None:
    return None if query.row is None else np.array([query.row])


def _neighbours(index: ImageIndex, rows: Int[ndarray, "rank"], cosine: Float[ndarray, "rank"]) -> tuple[Neighbour, ...]:
    return tuple(Neighbour(index.names[row], round(float(score), 6)) for row, score in zip(rows, cosine, strict=True))


def _row_of(index: ImageIndex, path: Path, folder: Path) -> int | None:
    path, folder = path.resolve(), folder.resolve()
    return index.row(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else None
