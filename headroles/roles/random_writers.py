"""The null model by weights: heads as strong along as many directions, which write at random into the residual stream.

What a random vector of the residual stream becomes in the embedding is far from uniform: the last LayerNorm and the
projection stretch it, mostly along what images differ in, and so along texts. Random directions of the embedding itself
are no null model: heads with random output weights stand out from those nearly always, and at a level of 5% from random
writers in 5% of the cases (benchmarks/weights.py level). A pool of random writers is explained once, and each draw of a
head takes as many of them as it has directions.

A head stands out where the texts of one concept explain more of what it writes than those of any concept explain of
random writers. Entropy alone does not show it: a head of one strong direction, of whatever sense, is made up of few
texts, and so is a random writer; but these texts explain little of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from headroles.roles.concepts import concept_entropy

WRITERS = 2048
"""Random vectors in the pool."""
_AT_ONCE = 4_000_000
"""Numbers of a (draw, direction, concept) array held at once."""


def random_writers(written: Float[Tensor, "residual embed"], seed: int) -> Float[Tensor, "writer embed"]:
    """Unit embeddings of what random vectors of the residual stream become, `written` taking these to the embedding."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(WRITERS, len(written), generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn.to(written) @ written, dim=-1)


@dataclass(frozen=True)
class RandomHeads:
    """What random writers reach in place of each head."""

    entropy: Float[ndarray, "draw head"]
    """Concept Entropy in bits."""
    most: Float[ndarray, "draw head"]
    """Share of what is written that the texts of one concept explain, at most."""

    @classmethod
    def draw(
        cls, strengths: Float[ndarray, "head direction"], pool: Float[ndarray, "writer concept"], draws: int, seed: int
    ) -> RandomHeads:
        """Of heads with these strengths; `pool`: the share of each writer that every concept's texts explain.

        All heads have the same writers in the same draw.
        """
        rng, width = np.random.default_rng([seed, 4]), strengths.shape[1]
        share = np.divide(
            strengths, strengths.sum(-1, keepdims=True), where=strengths > 0, out=np.zeros_like(strengths)
        )
        at_once, parts = max(1, _AT_ONCE // (width * pool.shape[1])), []
        for start in range(0, draws, at_once):
            drawn = range(min(at_once, draws - start))
            chosen = np.stack([rng.choice(len(pool), width, replace=width > len(pool)) for _ in drawn])
            mass = np.moveaxis(np.tensordot(pool[chosen], share, (1, 1)), 2, 1)
            parts.append((concept_entropy(shares_of(mass)), mass.max(-1)))
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    @classmethod
    def join(cls, parts: Sequence[RandomHeads]) -> RandomHeads:
        """Heads of several kinds, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts], 1) for name in ("entropy", "most")))


def shares_of(mass: Float[ndarray, "... concept"]) -> Float[ndarray, "... concept"]:
    """`mass` over its sum; the uniform distribution where there is none."""
    total = mass.sum(-1, keepdims=True)
    return np.divide(mass, total, out=np.full_like(mass, 1 / mass.shape[-1]), where=total > 0)
