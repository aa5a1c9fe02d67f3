"""The tests: each concept's Attribute heads cut together, held against matched random heads; and all tests jointly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.causal.block_costs import BlockCosts
from headroles.causal.costs import ConceptTest, Cost
from headroles.causal.estimates import estimate, finite, ratio, short
from headroles.causal.head_sets import variances
from headroles.heads.names import head_name


def concept_tests(costs: BlockCosts) -> tuple[ConceptTest, ...]:
    """One test for every concept with Attribute heads."""
    return tuple(_test(costs, concept) for concept in costs.sets.own)


def joint_p_value(costs: BlockCosts, draws: int) -> float | None:
    """Few heads of a layer leave a test few matched sets; all tests together have many. None without matched sets."""
    if not costs.random:
        return None
    margin, count = costs.margins(), costs.counts()
    own, matched = 0.0, np.zeros(draws)
    for concept in costs.random:
        at, number = costs.concepts.index(concept), costs.sets.own[concept]
        unit = costs.unit[0, at] * len(costs.sets.members(concept)) * count[at]
        if np.isfinite(unit):
            own += (margin[0, at] - margin[number, at]) / unit
            matched += (margin[0, at] - margin[list(costs.sets.matched[concept]), at]) / unit
    return short((1 + (matched >= own).sum()) / (1 + len(matched)))


def _test(costs: BlockCosts, concept: str) -> ConceptTest:
    members, matched = costs.sets.members(concept), costs.sets.matched[concept]
    at = costs.concepts.index(concept)
    own, random, general = costs.cost([costs.sets.own[concept]]), costs.random.get(concept), _general(costs, concept)
    times = own / len(members) / costs.unit
    others = np.delete(times, at, axis=1)
    return ConceptTest(
        concept=concept,
        heads=tuple(map(head_name, members)),
        draws=len(matched),
        distinct=len(set(matched)),
        variance_ratio=_variance_ratio(costs, concept) if matched else None,
        costs=_costs(costs, concept, own, times, general),
        against_random=None if random is None else estimate(ratio(own[:, at], random[:, at])),
        against_general=None if general is None else estimate(ratio(own[:, at], general[:, at])),
        against_others=estimate(ratio(times[:, at], others.mean(1))) if others.size else None,
        p_value=_p_value(costs, concept) if matched else None,
    )


def _general(costs: BlockCosts, concept: str) -> Float[ndarray, "draw concept"] | None:
    numbers = costs.sets.general[concept]
    return costs.cost(numbers) if numbers else None


def _costs(
    costs: BlockCosts,
    concept: str,
    own: Float[ndarray, "draw concept"],
    times: Float[ndarray, "draw concept"],
    general: Float[ndarray, "draw concept"] | None,
) -> dict[str, Cost]:
    """What every labelled concept loses with this one's heads."""
    right, random = costs.shares_right(), costs.random.get(concept)
    lost = right[0] - right[costs.sets.own[concept]]
    return {
        name: Cost(
            margin=estimate(own[:, column]),
            times=estimate(times[:, column]),
            accuracy=short(lost[column]),
            random=None if random is None else finite(random[0, column]),
            general=None if general is None else finite(general[0, column]),
        )
        for column, name in enumerate(costs.concepts)
    }


def _variance_ratio(costs: BlockCosts, concept: str) -> float | None:
    """Variance of the heads, over the mean of the matched sets'."""
    variance, sets = variances(costs.sets.heads), costs.sets
    chosen = (sets.members(concept), *(sets.sets[number] for number in sets.matched[concept]))
    sums = [sum(variance[place] for place in members) for members in chosen]
    return finite(float(sums[0] / np.mean(sums[1:])))


def _p_value(costs: BlockCosts, concept: str) -> float:
    margin = costs.margins()[:, costs.concepts.index(concept)]
    matched = np.unique(costs.sets.matched[concept])
    worse = (margin[matched] <= margin[costs.sets.own[concept]]).sum()
    return short((1 + worse) / (1 + len(matched)))
