"""From entropies to the heads of a role map: role, interval and stability, however heads were described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from headroles.heads.names import Head
from headroles.roles.chance import tail_share
from headroles.roles.concepts import q_values
from headroles.roles.direction import HeadDirection
from headroles.roles.role_map import SILENT, HeadRole, PickedText

Judge = Callable[[Float[ndarray, "head"], Float[ndarray, "head"]], Sequence[str]]
"""Gives heads their roles by their entropies and p-values."""


@dataclass(frozen=True)
class Description:
    """What is known of the scored heads before they have roles; all by head."""

    concepts: Sequence[str]
    """Names of the concept axis."""
    spread: Float[ndarray, "head concept"]
    """P(c); rows sum to 1."""
    bits: Float[ndarray, "head"]
    """Concept Entropy in bits."""
    unit: float
    """What heads that say nothing reach, in bits: the unit of normalised entropies."""
    null: Float[ndarray, "head"]
    """Mean of `bits` under the head's null model."""
    p: Float[ndarray, "head"]
    """p-value."""
    rank: Float[ndarray, "head"]
    """Effective rank."""
    variance: Float[ndarray, "head"]
    """Of the head's part of the unit embedding."""
    texts: Sequence[tuple[PickedText, ...]]
    """What describes the head."""
    drawn: Float[ndarray, "draw head"] | None = None
    """`bits` of the resamples of image blocks; None where there are no images."""
    drawn_p: Float[ndarray, "draw head"] | None = None
    """`p` of the same."""
    blocks: int = 0
    """Blocks of images that resamples draw from."""
    directions: Sequence[tuple[HeadDirection, ...]] | None = None
    """What its directions write, where they were read."""


def build_head_roles(
    heads: Sequence[Head], found: Description, silent: Bool[ndarray, "head"], judge: Judge
) -> tuple[HeadRole, ...]:
    """One HeadRole for each of `heads`, numbers rounded to 6 digits; silent ones have no say in rules and q-values.

    Intervals hold the middle 90% of the resamples, a little more where blocks are few (`tail_share`); stability is the
    share of resamples with the same role. Without images there is neither.
    """
    found, speaks = _mute(found, silent), ~silent
    entropy = found.bits / found.unit
    roles, q = np.full(len(heads), SILENT, object), np.ones(len(heads))
    roles[speaks] = judge(entropy[speaks], found.p[speaks])
    q[speaks] = q_values(found.p[speaks])
    interval, stability = _resample(found, speaks, roles, judge)
    return tuple(
        HeadRole(
            layer=layer,
            head=head,
            role=roles[row],
            concept="" if silent[row] else found.concepts[int(found.spread[row].argmax())],
            concept_share=round6(found.spread[row].max()),
            entropy_bits=round6(found.bits[row]),
            entropy=round6(entropy[row]),
            null_entropy=round6(found.null[row] / found.unit),
            interval=interval[row],
            p_value=round6(found.p[row]),
            q_value=round6(q[row]),
            stability=stability[row],
            effective_rank=round6(found.rank[row]),
            variance=float(f"{found.variance[row]:.6g}"),
            distribution=_shares(found.concepts, found.spread[row]),
            texts=() if silent[row] else found.texts[row],
            directions=() if silent[row] or found.directions is None else found.directions[row],
        )
        for row, (layer, head) in enumerate(heads)
    )


def _resample(
    found: Description, speaks: Bool[ndarray, "head"], roles: ndarray, judge: Judge
) -> tuple[Sequence[tuple[float, float] | None], Sequence[float | None]]:
    """Interval and stability of each head; None where there are no images to draw from."""
    if found.drawn is None or found.drawn_p is None:
        return [None] * len(roles), [None] * len(roles)
    drawn, stability = found.drawn / found.unit, np.ones(len(roles))
    again = [judge(*pair) for pair in zip(drawn[:, speaks], found.drawn_p[:, speaks], strict=True)]
    stability[speaks] = (np.array(again) == roles[speaks]).mean(0)
    tail = tail_share(found.blocks, 0.9)
    ends = np.quantile(drawn, [tail, 1 - tail], axis=0).T
    return [(round6(low), round6(high)) for low, high in ends], [round6(share) for share in stability]


def _mute(found: Description, silent: Bool[ndarray, "head"]) -> Description:
    """Silent heads speak of no concept, with the entropy of chance."""
    return replace(
        found,
        spread=np.where(silent[:, None], 0.0, found.spread),
        bits=np.where(silent, found.unit, found.bits),
        null=np.where(silent, found.unit, found.null),
        p=np.where(silent, 1.0, found.p),
        drawn=None if found.drawn is None else np.where(silent, found.unit, found.drawn),
        drawn_p=None if found.drawn_p is None else np.where(silent, 1.0, found.drawn_p),
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
