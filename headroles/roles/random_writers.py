"""The null model by weights: heads as strong along as many directions, which write at random into the residual stream.

What a random vector of the residual stream becomes in the embedding is far from uniform: the last LayerNorm and the
projection stretch it, mostly along what images differ in. Random directions of the embedding itself are no null model:
heads with random output weights stand out from those in a fifth of the cases at 5%, and from random writers in 3%
(benchmarks/weights.py). A pool of random writers is explained once, and each draw of a head takes as many of them as
it has directions.
"""

from __future__ import annotations

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


def null_entropies(
    strengths: Float[ndarray, "head direction"], pool: Float[ndarray, "writer concept"], draws: int, seed: int
) -> Float[ndarray, "draw head"]:
    """Concept Entropy, in bits, of heads with these strengths whose directions are random writers.

    `pool`: what each writer's texts explain of every concept. All heads have the same writers in the same draw.
    """
    rng, (_, width) = np.random.default_rng([seed, 4]), strengths.shape
    found = []
    for start in range(0, draws, max(1, _AT_ONCE // (width * pool.shape[1]))):
        runs = min(draws - start, max(1, _AT_ONCE // (width * pool.shape[1])))
        chosen = np.stack([rng.choice(len(pool), width, replace=width > len(pool)) for _ in range(runs)])
        mass = np.tensordot(pool[chosen], strengths, (1, 1))  # draw, concept, head
        found.append(concept_entropy(shares_of(np.moveaxis(mass, 2, 1))))
    return np.concatenate(found)


def shares_of(mass: Float[ndarray, "... concept"]) -> Float[ndarray, "... concept"]:
    """`mass` over its sum; the uniform distribution where there is none."""
    total = mass.sum(-1, keepdims=True)
    return np.divide(mass, total, out=np.full_like(mass, 1 / mass.shape[-1]), where=total > 0)
