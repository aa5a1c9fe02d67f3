"""HeadSpace: what some heads write, summed, as vectors that are compared by cosine.

The heads' parts of the unit embedding are summed, each with a weight. A head writes mostly the same into every image,
which would make all cosines near 1; so the mean over the index is taken off first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.uses.image_index import ImageIndex
from headroles.uses.part_bases import Projectors

_CHUNK = 8192
"""Rows of the index held at once."""


class HeadSpace:
    """The centred, weighted sum of some heads' parts of the unit embedding, for the images of an index."""

    def __init__(
        self, index: ImageIndex, weights: Float[ndarray, "layer head"], projectors: Projectors | None = None
    ) -> None:
        """`projectors`: of heads of which single directions count."""
        self.index = index
        self.places = np.argwhere(weights != 0)
        if not len(self.places):
            raise InputError("heads: all weights are zero; choose at least one head")
        parts = [self._basis(layer, head, projectors or {}) * weights[layer, head] for layer, head in self.places]
        self.matrix = np.concatenate(parts).astype(np.float32)
        total = sum(self._take(start).sum(0, dtype=np.float64) for start in range(0, len(index), _CHUNK))
        self.mean = (total / len(index)).astype(np.float32)

    def _basis(self, layer: int, head: int, projectors: Projectors) -> Float[ndarray, "width embed"]:
        own = self.index.bases[layer, head]
        return projectors[layer, head] @ own if (layer, head) in projectors else own

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


def embedding_rows(index: ImageIndex, center: bool = False) -> Rows:
    """The whole unit embeddings of an index; `center` takes their mean off."""
    mean = index.embeddings.mean(0, dtype=np.float64).astype(np.float32) if center else np.float32(0)
    return lambda start, stop: np.asarray(index.embeddings[start:stop], np.float32) - mean


def _unit(rows: Float[ndarray, "row embed"]) -> Float[ndarray, "row embed"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
