"""Facts about Concept Entropy, its p-values and the roles."""

import numpy as np
import pytest

from headroles.errors import InputError
from headroles.roles.concepts import (
    concept_distribution,
    concept_entropy,
    p_values,
    pick_weights,
    q_values,
)
from headroles.roles.rules import assign_roles

CODES = np.arange(400) % 8


def entropy_of(index, share, prior=None, weights="count"):
    index, share = np.array([index]), np.array([share])
    weight = pick_weights(index, share, weights)
    return concept_entropy(concept_distribution(index, weight, CODES[None], 8, prior))[0]


def test_one_concept_has_no_entropy_and_a_uniform_head_has_log2_c():
    assert entropy_of([0, 8, 16], [0.5, 0.3, 0.1]) == 0
    assert entropy_of(range(8), np.ones(8) / 8) == pytest.approx(3)
    assert entropy_of(range(8), np.ones(8) / 8, weights="variance") == pytest.approx(3)


def test_entropy_does_not_depend_on_the_order_of_picks_or_texts():
    rng = np.random.default_rng(0)
    index, share = rng.permutation(400)[:20], rng.random(20)
    order = rng.permutation(20)
    for weights in ("count", "variance"):
        assert entropy_of(index, share, weights=weights) == pytest.approx(
            entropy_of(index[order], share[order], weights=weights)
        )


def test_empty_picks_count_nothing():
    assert entropy_of([0, 1, -1, -1], [0.5, 0.5, 0.0, 0.0]) == pytest.approx(1)


def test_prior_correction_makes_a_head_that_mirrors_the_bank_uniform():
    codes = np.array([0] * 30 + [1] * 10)
    index = np.arange(40)[None]
    prior = np.array([0.75, 0.25])
    found = concept_distribution(index, np.ones((1, 40)), codes[None], 2, prior)
    np.testing.assert_allclose(found, [[0.5, 0.5]])


def test_many_concepts_give_what_a_count_by_hand_gives():
    rng = np.random.default_rng(0)
    codes, index, weight = rng.integers(0, 300, 400), rng.integers(-1, 400, (3, 5, 20)), rng.random((3, 5, 20))
    weight = np.where(index >= 0, weight, 0)
    found = concept_distribution(index, weight, np.broadcast_to(codes, (3, 5, 400)), 300)
    for draw, head in np.ndindex(3, 5):
        mass = np.zeros(300)
        np.add.at(mass, codes[np.maximum(index[draw, head], 0)], weight[draw, head])
        np.testing.assert_allclose(found[draw, head], mass / mass.sum())


def test_a_p_value_counts_the_observed_head_in_and_q_is_never_below_p():
    null = np.tile(np.arange(1.0, 100.0)[:, None], (1, 3))
    p = p_values(np.array([0.5, 50.0, 1000.0]), null)
    np.testing.assert_allclose(p, [0.01, 0.51, 1.0])
    assert (q_values(p) >= p).all()


def test_rules_order_roles_by_entropy():
    entropy = np.linspace(0, 1, 11)
    p = np.where(entropy < 0.45, 0.001, entropy)
    rank = {"attribute": 0, "mixed": 1, "generalization": 2}
    for rule, low, high in (("threshold", 0.35, 0.7), ("quantile", 0.3, 0.7), ("null", 0, 1)):
        ranks = [rank[role] for role in assign_roles(entropy, p, rule, low, high)]
        assert ranks == sorted(ranks) and set(ranks) >= {0, 2}
    assert assign_roles(entropy, p, "threshold", 0.35, 0.7).count("attribute") == 4


def test_low_entropy_alone_makes_no_attribute_head():
    entropy, chance = np.linspace(0, 1, 11), np.linspace(0.02, 1, 11)
    for rule in ("threshold", "null"):
        assert "attribute" not in assign_roles(entropy, chance, rule, 0.35, 0.7)
    # A ranking claims no more than an order.
    assert assign_roles(entropy, chance, "quantile", 0.3, 0.7).count("attribute") == 4
    assert assign_roles(np.empty(0), np.empty(0), "threshold", 0.35, 0.7) == []


def test_unknown_choices_are_refused():
    with pytest.raises(InputError, match="weights must be one of count, variance"):
        pick_weights(np.array([[0]]), np.array([[1.0]]), "size")
    with pytest.raises(InputError, match="roles-by must be one of"):
        assign_roles(np.zeros(2), np.zeros(2), "mood", 0, 1)
