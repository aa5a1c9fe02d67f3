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

_JOINT = 9_999
"""Draws of the joint test."""


def concept_tests(costs: BlockCosts) -> tuple[ConceptTest, ...]:
    """One test for every concept with Attribute heads."""
    return tuple(_test(costs, concept) for concept in costs.sets.own)


def joint_p_value(costs: BlockCosts, seed: int) -> float | None:
    """Few heads of a layer leave a test few sets to be ranked among; all tests together have many. None without any.

    Every test draws its set from its own and those that it is ranked among; losses are in units of what all of these
    lose on average, so that the own set is treated as any other. Never below what the number of sets allows.
    """
    rng = np.random.default_rng([seed, 8])
    own, drawn, ways = 0.0, np.zeros(_JOINT), 1.0
    for concept, exchanged in costs.sets.exchanged.items():
        lost = costs.lost(concept)
        unit = np.abs(lost).mean()
        if exchanged and unit > 0:
            own, drawn, ways = own + lost[0] / unit, drawn + rng.choice(lost, _JOINT) / unit, ways * len(lost)
    if ways == 1:
        return None
    return short(max((1 + (drawn >= own - 1e-9).sum()) / (1 + _JOINT), 1 / ways))


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
        ranked_among=len(costs.sets.exchanged[concept]),
        variance_ratio=_variance_ratio(costs, concept) if matched else None,
        costs=_costs(costs, concept, own, times, general),
        against_random=None if random is None else estimate(ratio(own[:, at], random[:, at]), costs.blocks),
        against_general=None if general is None else estimate(ratio(own[:, at], general[:, at]), costs.blocks),
        against_others=estimate(ratio(times[:, at], others.mean(1)), costs.blocks) if others.size else None,
        p_value=_p_value(costs, concept),
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
            margin=estimate(own[:, column], costs.blocks),
            times=estimate(times[:, column], costs.blocks),
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


def _p_value(costs: BlockCosts, concept: str) -> float | None:
    """The rank of the own set's loss; it counts itself in."""
    lost = costs.lost(concept)
    return short((lost >= lost[0]).mean()) if len(lost) > 1 else None
