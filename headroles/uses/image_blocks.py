"""ImageBlocks: the blocks of a task's test images, which may be alike, and how many of these count as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.images.blocks import Blocking
from headroles.roles.likeness import design_effect
from headroles.uses.cue_bench import CueBench


@dataclass(frozen=True)
class ImageBlocks:
    """Which block each test image lies in."""

    count: int
    """How many blocks there are."""
    block: Int[ndarray, "image"]
    """Every test image's."""
    group: Int[ndarray, "image"]
    """Every test image's group of class and value, from 0."""
    how: str
    """How blocks were made, as `headroles.images.blocks.Blocking` says it."""

    @classmethod
    def of(cls, bench: CueBench) -> ImageBlocks:
        """Neighbours of one class and value are a block, or whole groups of images that belong together."""
        test = bench.splits == "test"
        _, group = np.unique(bench.groups[test], return_inverse=True)
        together = bench.grouped.together
        rows = None if together is None else together.select(bench.numbers[test])
        blocking = Blocking(len(group), rows, group)
        blocks = blocking.cut(blocking.limit(bench.config.blocks))
        return cls(blocks.count, blocks.of(torch.arange(len(group))).numpy(), group, blocking.how)

    @property
    def acting(self) -> dict[str, Any]:
        """What results record of the blocks."""
        return {"blocks": self.count, "blocks_by": self.how}

    def likeness(self, correct: ndarray) -> float:
        """How many images count as one where it is asked whether they are right; see `headroles.roles.likeness`."""
        count, right = (tally(self.block, self.group, weights) for weights in (np.ones(len(correct)), correct))
        images, share = count.sum(0), right.sum(0) / count.sum(0)
        between = ((right - count * share) ** 2).sum(0) / images
        return design_effect([(count, between, float((images * share * (1 - share)).sum()))])


def tally(
    block: Int[ndarray, "image"], group: Int[ndarray, "image"], weights: ndarray
) -> Float[ndarray, "block group"]:
    """Sums of the weights over the images of each block and group."""
    _, group = np.unique(group, return_inverse=True)
    shape = (int(block.max()) + 1, int(group.max()) + 1)
    return np.bincount(block * shape[1] + group, weights, shape[0] * shape[1]).reshape(shape)
