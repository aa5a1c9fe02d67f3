"""BlockCosts: what every set of heads costs every concept, over blocks of images and resamples of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.causal.config import ValidateConfig
from headroles.causal.effects import EffectSums
from headroles.causal.head_sets import HeadSets
from headroles.errors import InputError


class BlockCosts:
    """Mean margins lost, and what one matched random head costs, for the estimate and every resample.

    All means over sets are linear in the sums, so they are taken first and the bootstrap runs on them alone. The first
    row of every array with an axis `draw` is the estimate, the others are resamples.
    """

    def __init__(self, sets: HeadSets, concepts: Sequence[str], sums: EffectSums, config: ValidateConfig) -> None:
        self.sets, self.concepts, self.sums = sets, tuple(concepts), sums
        count = sums.count.numpy()
        if (count.sum(0) == 0).any():
            raise InputError(f"images: none has a value of {concepts[int((count.sum(0) == 0).argmax())]}")
        self.weights = draw_weights(count, config)
        self.images = self.weights @ count
        self.single = np.stack([self.cost([number]) for number in sets.singles], 1)
        """(draw, head, concept): every scored head, cut alone."""
        self.random = {name: self.cost(numbers) for name, numbers in sets.matched.items() if numbers}
        """Concept -> (draw, concept): its matched sets, on average."""
        units = [cost / len(sets.members(name)) for name, cost in self.random.items()]
        unit = np.mean(units, 0) if units else self.single.mean(1)
        self.unit = np.where(unit > 0, unit, np.nan)
        """(draw, concept): what one head of the matched sets of all tests costs, on average."""

    def cost(self, numbers: Sequence[int]) -> Float[ndarray, "draw concept"]:
        """Mean margin lost to some sets."""
        margin = self.sums.margin
        lost = (margin[:, 0] - margin[:, list(numbers)].mean(1)).numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.weights @ lost / self.images

    @property
    def blocks(self) -> int:
        """Blocks that hold images: what the bootstrap draws from."""
        return int((self.weights[0] > 0).sum())

    def lost(self, concept: str) -> Float[ndarray, "set"]:
        """What a concept's margin loses in sum: to its own heads first, then to each set that they are ranked among."""
        margin = self.margins()[:, self.concepts.index(concept)]
        return margin[0] - margin[[self.sets.own[concept], *self.sets.exchanged[concept]]]

    def margins(self) -> Float[ndarray, "set concept"]:
        """Sums of margins over all images."""
        return self.sums.margin.sum(0).numpy()

    def shares_right(self) -> Float[ndarray, "set concept"]:
        """Share of images whose right value is the likeliest."""
        return (self.sums.right.sum(0) / self.sums.count.sum(0)).numpy()

    def counts(self) -> Float[ndarray, "concept"]:
        """Images with a value of each concept."""
        return self.sums.count.sum(0).numpy()


def draw_weights(count: Float[ndarray, "block concept"], config: ValidateConfig) -> Float[ndarray, "draw block"]:
    """How often each block counts: once each, then as the bootstrap draws; blocks without images never."""
    rng = np.random.default_rng([config.seed, 6])
    filled = np.flatnonzero(count.sum(1))
    times = rng.multinomial(len(filled), np.full(len(filled), 1 / len(filled)), config.bootstraps)
    weights = np.zeros((1 + config.bootstraps, len(count)))
    weights[0, filled], weights[1:, filled] = 1, times
    return weights
