"""Hits: how often every image's neighbours share its value, and how sure the mean over images is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import csr_array
from scipy.stats import t

from headroles.roles.likeness import CHANCE
from headroles.shapes.world import ABSENT
from headroles.uses.head_space import HeadSpace, embedding_rows, top_rows
from headroles.uses.image_index import ImageIndex
from headroles.uses.precision import Precision

_QUERIES = 512
"""Queries searched at once."""


@dataclass(frozen=True)
class Hits:
    """Each labelled image's share of its neighbours with its own value; differences of two ways to search as well."""

    queries: Int[ndarray, "query"]
    """Numbers of the labelled images."""
    rate: Float[ndarray, "query"]
    """Share of the neighbours with the query's value; a neighbour without a value is a miss."""
    pull: csr_array
    """(query, image): what an image, as one of the query's neighbours, adds to or takes from the query's `rate`."""

    def __sub__(self, other: Hits) -> Hits:
        """The same queries, one way minus another."""
        return Hits(self.queries, self.rate - other.rate, self.pull - other.pull)

    def precision(self, block: Int[ndarray, "image"] | None = None, level: float = 0.95) -> Precision:
        """The mean over queries, with its interval over images.

        An image is a query and many others' neighbour: a bootstrap over queries alone takes hits for independent and
        covers 75 to 85%. An image's influence is its own rate and all that it adds to others' (a sandwich, Liang and
        Zeger 1986). That has each hit twice, by its query and by its neighbour; it is taken off once, as in two-way
        clustering (Cameron, Gelbach and Miller 2011). Where the images of a `block` turn out to be alike, blocks take
        the images' place.
        """
        count = len(self.queries)
        if count < 2:
            return Precision(float(self.rate.mean()) if count else float("nan"), (float("nan"), float("nan")), count)
        mean = float(self.rate.mean())
        influence = np.asarray(self.pull.sum(0)).ravel()
        influence[self.queries] += self.rate - mean
        own = ((self.rate - mean) ** 2).sum()
        square = max((influence**2).sum() - (self.pull.data**2).sum(), own)
        free = count - 1
        if block is not None:
            blocks = len(np.unique(block))
            among = (np.bincount(block, influence) ** 2).sum() * blocks / max(1, blocks - 1)
            if among >= CHANCE * square:
                square, free = among, max(1, blocks - 1)
        half = float(t.ppf((1 + level) / 2, free) * np.sqrt(square) / count)
        return Precision(mean, (mean - half, mean + half), count)


def find_hits(
    index: ImageIndex,
    codes: Int[ndarray, "image"],
    k: int = 10,
    weights: Float[ndarray, "layer head"] | None = None,
    center: bool = False,
) -> Hits:
    """Hits among the `k` nearest by the heads of `weights`, or by the whole embedding without.

    `center` takes the mean embedding off.
    """
    rows = embedding_rows(index, center) if weights is None else HeadSpace(index, weights).rows
    queries = np.flatnonzero(codes != ABSENT)
    near = [np.zeros((0, k), dtype=int)]
    for start in range(0, len(queries), _QUERIES):
        own = queries[start : start + _QUERIES]
        vectors = np.concatenate([rows(row, row + 1) for row in own])
        near.append(top_rows(rows, len(index), vectors, k, own)[0])
    return count_hits(codes, queries, np.concatenate(near[min(len(queries), 1) :]))


def count_hits(codes: Int[ndarray, "image"], queries: Int[ndarray, "query"], near: Int[ndarray, "query k"]) -> Hits:
    """The hits of queries whose neighbours are known."""
    same = codes[near] == codes[queries, None]
    rate = same.mean(1)
    pull = (same - rate[:, None]) / near.shape[1]
    places = np.repeat(np.arange(len(queries)), near.shape[1])
    return Hits(queries, rate, csr_array((pull.ravel(), (places, near.ravel())), shape=(len(queries), len(codes))))
