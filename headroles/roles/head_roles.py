"""From entropies to the heads of a role map: role, interval and stability, however heads were described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.heads.names import Head
from headroles.roles.concepts import q_values
from headroles.roles.role_map import HeadRole, PickedText

Judge = Callable[[Float[ndarray, "head"]], Sequence[str]]
"""Gives heads their roles by their entropies."""


@dataclass(frozen=True)
class Description:
    """What is known of the scored heads before they have roles; all by head."""

    concepts: Sequence[str]
    """Names of the concept axis."""
    spread: Float[ndarray, "head concept"]
    """P(c); rows sum to 1."""
    bits: Float[ndarray, "head"]
    """Concept Entropy in bits."""
    entropy: Float[ndarray, "head"]
    """The same over its largest value, in [0, 1]."""
    drawn: Float[ndarray, "draw head"]
    """`entropy` of the resamples of image blocks."""
    p: Float[ndarray, "head"]
    """p-value."""
    variance: Float[ndarray, "head"]
    """Of the head's part of the unit embedding."""
    texts: Sequence[tuple[PickedText, ...]]
    """What describes the head."""


def build_head_roles(heads: Sequence[Head], found: Description, judge: Judge) -> tuple[HeadRole, ...]:
    """One HeadRole for each of `heads`, numbers rounded to 6 digits.

    Intervals hold the middle 90% of the resamples; stability is the share of resamples with the same role.
    """
    roles = judge(found.entropy)
    stability = (np.array([judge(row) for row in found.drawn]) == np.array(roles)).mean(0)
    low, high = np.quantile(found.drawn, [0.05, 0.95], axis=0)
    q = q_values(found.p)
    return tuple(
        HeadRole(
            layer=layer,
            head=head,
            role=roles[row],
            concept=found.concepts[int(found.spread[row].argmax())],
            concept_share=round6(found.spread[row].max()),
            entropy_bits=round6(found.bits[row]),
            entropy=round6(found.entropy[row]),
            interval=(round6(low[row]), round6(high[row])),
            p_value=round6(found.p[row]),
            q_value=round6(q[row]),
            stability=round6(stability[row]),
            variance=float(f"{found.variance[row]:.6g}"),
            distribution=_shares(found.concepts, found.spread[row]),
            texts=found.texts[row],
        )
        for row, (layer, head) in enumerate(heads)
    )


def draw_blocks(count: Float[ndarray, "block"], draws: int, seed: int) -> Float[ndarray, "draw block"]:
    """How often each block of images enters each bootstrap resample; blocks without an image never do."""
    rng = np.random.default_rng([seed, 2])
    filled = np.flatnonzero(count)
    found = np.zeros((draws, len(count)))
    found[:, filled] = rng.multinomial(len(filled), np.full(len(filled), 1 / len(filled)), draws)
    return found


def round6(value: float) -> float:
    """To 6 digits: what a role map keeps of a number."""
    return round(float(value), 6)


def _shares(concepts: Sequence[str], row: Float[ndarray, "concept"]) -> Mapping[str, float]:
    return {name: round6(value) for name, value in zip(concepts, row, strict=True)}
