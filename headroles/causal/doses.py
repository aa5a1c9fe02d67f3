"""Dose and response: the margin of each concept against the factor on its heads, beside matched random heads.

Head Pursuit (arXiv 2510.21518) scales heads as well as cutting them: where a concept hangs on its heads, its margin
follows the factor, falls below that of the cut model where they are turned round, and rises where they are made louder,
as long as louder is clearer. Factors scale about what stands in for a cut head, so that 0 is the cut itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.causal.block_costs import draw_weights
from headroles.causal.config import ValidateConfig
from headroles.causal.dose_curve import DoseCurve, DosePoint
from headroles.causal.effects import EffectSums, HeadSet
from headroles.causal.estimates import estimate, short
from headroles.causal.head_sets import HeadSets
from headroles.heads.names import head_name

_MATCHED = 20
"""Matched sets a concept, at most: each is scaled by every factor."""


@dataclass(frozen=True)
class DoseSets:
    """What is scaled by how much; the first is the intact model."""

    sets: tuple[HeadSet, ...]
    """The heads of every run."""
    factors: tuple[float, ...]
    """Their factor."""
    own: Mapping[str, tuple[int, ...]]
    """Concept -> the runs of its Attribute heads, by factor."""
    matched: Mapping[str, tuple[tuple[int, ...], ...]]
    """Concept -> the runs of its matched sets, by factor."""

    @classmethod
    def of(cls, sets: HeadSets, doses: Sequence[float]) -> DoseSets:
        """All factors of all concepts' own and matched sets."""
        runs: dict[tuple[HeadSet, float], int] = {((), 1.0): 0}

        def number(members: HeadSet, factor: float) -> int:
            return runs.setdefault((members, factor), len(runs))

        own = {concept: tuple(number(sets.members(concept), factor) for factor in doses) for concept in sets.own}
        matched = {}
        for concept, drawn in sets.matched.items():
            chosen = list(dict.fromkeys(drawn))[:_MATCHED]
            matched[concept] = tuple(tuple(number(sets.sets[each], factor) for each in chosen) for factor in doses)
        members, factors = zip(*runs, strict=True)
        return cls(members, factors, own, matched)


def dose_curves(
    sets: DoseSets, sums: EffectSums, concepts: Sequence[str], config: ValidateConfig
) -> tuple[DoseCurve, ...]:
    """One curve for every concept with Attribute heads; intervals resample blocks of images as all others do."""
    count = sums.count.numpy()
    weights = draw_weights(count, config)
    blocks, images = int((weights[0] > 0).sum()), weights @ count

    def gain(numbers: Sequence[int]) -> Float[ndarray, "draw concept"]:
        """Mean margin over that of the intact model, of some runs on average."""
        gained = (sums.margin[:, list(numbers)].mean(1) - sums.margin[:, 0]).numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            return weights @ gained / images

    right = (sums.right.sum(0) / sums.count.sum(0)).numpy()

    def point(concept: str, place: int, factor: float) -> DosePoint:
        column, run, random = concepts.index(concept), sets.own[concept][place], sets.matched[concept][place]
        own, each = gain([run]), [gain([number])[0, column] for number in random]
        others = np.delete(own[0], column)
        return DosePoint(
            factor=factor,
            gained=estimate(own[:, column], blocks),
            accuracy=short(right[run, column]),
            random=estimate(gain(random)[:, column], blocks) if random else None,
            random_range=(short(min(each)), short(max(each))) if random else None,
            others=short(others.mean()) if others.size else None,
        )

    return tuple(
        DoseCurve(
            concept=concept,
            heads=tuple(map(head_name, sets.sets[runs[0]])),
            matched=len(sets.matched[concept][0]),
            points=tuple(point(concept, place, factor) for place, factor in enumerate(config.doses)),
        )
        for concept, runs in sets.own.items()
    )
