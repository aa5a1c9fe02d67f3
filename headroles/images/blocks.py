"""Blocks: which images a bootstrap draws together. Neighbours may be alike, as frames of a film are: a block is a run.

A bootstrap that draws images one by one, or blocks of every 32nd image, takes a film for as many independent images as
it has frames, and its intervals come out too narrow (Künsch 1989, blocks of dependent observations).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from headroles.images.groups import Groups, find_groups

RUN = 32
"""Images of a run, where it is not known beforehand how many there are: runs take turns at the blocks."""
WITHIN = "contiguous within values"
"""How blocks of images are made that have one label each."""


@dataclass(frozen=True)
class Blocks:
    """The block of every image, by its number among all images: the same for whoever reads it."""

    count: int
    """How many blocks there are; some may hold no image."""
    images: int | None
    """How many images there are; None for a stream that does not say."""
    places: Int[ndarray, "image"] | None = field(default=None, repr=False)
    """Every image's block; None where its number alone decides."""

    def of(self, numbers: Int[Tensor, "image"]) -> Int[Tensor, "image"]:
        """The blocks of these images, from 0."""
        if self.places is not None:
            return torch.from_numpy(self.places)[numbers]
        if self.images is None:
            return numbers // RUN % self.count
        return (numbers * self.count // self.images).clamp(max=self.count - 1)


@dataclass(frozen=True)
class Blocking:
    """What decides how some images are cut into blocks."""

    images: int | None
    """How many there are; None for a stream that does not say."""
    groups: Groups | None = None
    """Images that belong together and lie in one block."""
    values: Int[ndarray, "image"] | None = field(default=None, repr=False)
    """Every image's label, where it has one: each label's images are cut, so that no resample lacks a label."""

    @classmethod
    def of(cls, images: Any, groups: str | Sequence[Any] | None = None) -> Blocking:
        """That of opened images without labels; `groups` as `headroles.images.groups.find_groups` takes them."""
        count = len(images) if hasattr(images, "__len__") else images.total
        return cls(count, None if groups is None else find_groups(images, groups))

    @property
    def how(self) -> str:
        """How blocks are made, as results record it: "contiguous", `WITHIN`, "groups: COLUMN" or "runs of 32"."""
        if self.groups is not None:
            return f"groups: {self.groups.name}"
        if self.values is not None:
            return WITHIN
        return "contiguous" if self.images is not None else f"runs of {RUN}"

    def describe(self) -> dict[str, str]:
        """What sums over the blocks depend on, beside the images, their labels and the number of blocks."""
        hashes = {} if self.groups is None else {"groups": hashlib.sha256(self.groups.codes.tobytes()).hexdigest()}
        return {"blocks_by": self.how, **hashes}

    def limit(self, blocks: int) -> int:
        """At most `blocks`: no more than there are groups."""
        return blocks if self.groups is None else min(blocks, self.groups.count)

    def cut(self, blocks: int) -> Blocks:
        """The blocks; `blocks` is a number that `limit` allows."""
        places = None
        if self.groups is not None:
            places = deal(np.bincount(self.groups.codes), blocks)[self.groups.codes]
        elif self.values is not None:
            places = cut_within(self.values, blocks)
        return Blocks(blocks, self.images, places)


def cut_within(values: Int[ndarray, "image"], blocks: int) -> Int[ndarray, "image"]:
    """Blocks of neighbours among the images of each value: with as many images as blocks, a value is in all of them.

    The pieces of values with fewer images start where these lie among all, so that not all fall into the same blocks.
    """
    order = np.argsort(values, kind="stable")
    _, starts, sizes = np.unique(values[order], return_index=True, return_counts=True)
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    places = np.empty(len(values), dtype=np.int64)
    places[order] = ((np.arange(len(values)) - start) * blocks // size + start * blocks // len(values)) % blocks
    return places


def deal(sizes: Int[ndarray, "group"], blocks: int) -> Int[ndarray, "group"]:
    """A block for every group: the largest first, each to the emptiest block (Graham 1969), ties in order.

    Groups of one size are dealt in turns. The fullest block holds at most 4/3 of what the best dealing would give it.
    """
    filled = [(0, block) for block in range(blocks)]
    places = np.empty(len(sizes), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable").tolist():
        size, block = filled[0]
        places[group] = block
        heapq.heapreplace(filled, (size + int(sizes[group]), block))
    return places
