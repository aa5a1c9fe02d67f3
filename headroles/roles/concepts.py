"""From picked texts to concepts: distribution, Concept Entropy (DeAR, 2603.01111, section 3), p- and q-values."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import entropy, false_discovery_control

from headroles.errors import InputError

WEIGHTS = ("count", "variance")


def pick_weights(
    index: Int[ndarray, "... pick"], share: Float[ndarray, "... pick"], weights: str
) -> Float[ndarray, "... pick"]:
    """What every pick counts: 1 each (`count`, DeAR) or its share of variance; 0 for an empty pick (index -1)."""
    if weights not in WEIGHTS:
        raise InputError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    return np.where(index >= 0, share if weights == "variance" else 1.0, 0.0)


def concept_distribution(
    index: Int[ndarray, "... pick"],
    weight: Float[ndarray, "... pick"],
    codes: Int[ndarray, "... text"],
    concepts: int,
    prior: Float[ndarray, "concept"] | None = None,
) -> Float[ndarray, "... concept"]:
    """P(c): the weight of a head's picks that speak of concept c, summing to 1.

    With `prior` (the concepts' shares of the bank) P(c) is proportional to weight / prior: a bank with many texts
    of one concept no longer makes every head look like that concept. `codes` may have leading axes of its own,
    which broadcast against those of `index`.
    """
    picked = np.take_along_axis(codes, np.maximum(index, 0), -1)
    rows = np.arange(picked[..., 0].size)[:, None] * concepts
    place = (rows + picked.reshape(len(rows), -1)).ravel()
    mass = np.bincount(place, np.broadcast_to(weight, picked.shape).ravel(), len(rows) * concepts)
    mass = mass.reshape(*picked.shape[:-1], concepts)
    if prior is not None:
        mass = mass / prior
    total = mass.sum(-1, keepdims=True)
    return np.divide(mass, total, out=np.full_like(mass, 1 / concepts), where=total > 0)


def concept_entropy(distribution: Float[ndarray, "... concept"]) -> Float[ndarray, "..."]:
    """Concept Entropy in bits: 0 for one concept, log2 C for a uniform distribution over C."""
    return np.abs(entropy(distribution, base=2, axis=-1))


def p_values(observed: Float[ndarray, "head"], null: Float[ndarray, "draw head"]) -> Float[ndarray, "head"]:
    """Share of the null model's entropies that are as low or lower; the observed one counts as one of them."""
    return (1 + (null <= observed + 1e-12).sum(0)) / (1 + len(null))


def q_values(p: Float[ndarray, "head"]) -> Float[ndarray, "head"]:
    """Benjamini-Hochberg q over all scored heads."""
    return false_discovery_control(p, method="bh") if len(p) else p
