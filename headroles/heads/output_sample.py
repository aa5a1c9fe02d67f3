"""A bounded sample of images whose heads' outputs are kept one by one: what a test of ranks needs beside sums.

Which images are in it, and in which row, follows from how many there are: shards and resumed passes fill the rows of
one table, zero at first, so that tables of disjoint images add up.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

MOST = 2000
"""Images of a sample, at most."""
_ROOM = 256 * 2**20
"""Bytes of it, at most; beyond, fewer images."""
_LEAST = 200
"""Images that are kept however wide the heads are."""


def sample_size(images: int, numbers: int) -> int:
    """How many of so many images are kept, whose heads write `numbers` float32 numbers each."""
    return min(images, MOST, max(_LEAST, _ROOM // (4 * numbers)))


def draw_rows(images: int, size: int) -> Int[Tensor, "image"]:
    """Every image's row among the sample's `size` ones, -1 for those that are not in it; the same in every process."""
    chosen = np.sort(np.random.default_rng(0).permutation(images)[:size])
    rows = torch.full((images,), -1)
    rows[torch.from_numpy(chosen)] = torch.arange(size)
    return rows
