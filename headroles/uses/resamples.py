"""Resamples: a bootstrap of the test images of a task with groups, in blocks of images that may be alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.images.blocks import Blocking
from headroles.roles.head_roles import draw_blocks
from headroles.uses.cue_bench import CueBench


@dataclass(frozen=True)
class Resamples:
    """How often each block of test images is drawn."""

    times: Float[ndarray, "draw block"]
    """One row a resample."""
    block: Int[ndarray, "image"]
    """Every test image's block."""
    group: Int[ndarray, "image"]
    """Every test image's group of class and value, from 0."""
    how: str
    """How blocks were made, as `headroles.images.blocks.Blocking` says it."""

    @classmethod
    def draw(cls, bench: CueBench) -> Resamples:
        """By the bench's seed. Neighbours of one class and value are a block, or whole groups where these are known.

        InputError where all test images are in one group.
        """
        test = bench.splits == "test"
        _, group = np.unique(bench.groups[test], return_inverse=True)
        together = bench.grouped.together
        rows = None if together is None else together.select(bench.numbers[test])
        blocking, config = Blocking(len(group), rows, group), bench.config
        blocks = blocking.cut(blocking.limit(config.blocks))
        block = blocks.of(torch.arange(len(group))).numpy()
        times = draw_blocks(np.bincount(block, minlength=blocks.count), config.resamples, config.seed)
        return cls(times, block, group, blocking.how)

    @property
    def acting(self) -> dict[str, Any]:
        """What results record of the blocks."""
        return {"blocks": self.times.shape[1], "blocks_by": self.how}

    def accuracies(self, correct: ndarray) -> tuple[Float[ndarray, "draw"], Float[ndarray, "draw"]]:
        """Worst group's and mean accuracy of every resample; a group that a resample lacks is not its worst."""
        shape = (self.times.shape[1], int(self.group.max()) + 1)
        cells = self.block * shape[1] + self.group
        right, count = (
            self.times @ np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape)
            for weights in (correct.astype(float), np.ones(len(cells)))
        )
        shares = np.divide(right, count, out=np.full_like(right, np.inf), where=count > 0)
        return shares.min(1), right.sum(1) / count.sum(1)
