"""Facts about Concept Entropy, its null model and the roles."""

import numpy as np
import pytest
from scipy.stats import kstest

from headroles.errors import InputError
from headroles.roles.concepts import (
    concept_distribution,
    concept_entropy,
    null_entropies,
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


def test_null_p_values_are_uniform_on_a_shuffled_bank():
    rng = np.random.default_rng(1)
    index = np.stack([rng.permutation(400)[:20] for _ in range(300)])
    weight = rng.random((300, 20))
    null = null_entropies(index, weight, CODES, 8, None, 500, seed=0)
    shuffled = np.stack([rng.permutation(CODES) for _ in range(300)])
    observed = concept_entropy(concept_distribution(index, weight, shuffled, 8))
    assert kstest(p_values(observed, null), "uniform").pvalue > 0.01


def test_a_pure_head_is_significant_and_q_is_never_below_p():
    index = np.array([np.arange(0, 160, 8), np.arange(20)])
    weight = np.ones((2, 20))
    null = null_entropies(index, weight, CODES, 8, None, 1000, seed=0)
    p = p_values(concept_entropy(concept_distribution(index, weight, np.stack([CODES, CODES]), 8)), null)
    assert p[0] == pytest.approx(1 / 1001)
    assert p[1] > 0.5
    assert (q_values(p) >= p).all()


def test_rules_order_roles_by_entropy():
    entropy = np.linspace(0, 1, 11)
    null = np.random.default_rng(0).normal(0.6, 0.05, (1000, 11))
    rank = {"attribute": 0, "mixed": 1, "generalization": 2}
    for rule, low, high in (("threshold", 0.35, 0.7), ("quantile", 0.3, 0.7), ("null", 0, 1)):
        ranks = [rank[role] for role in assign_roles(entropy, null, rule, low, high)]
        assert ranks == sorted(ranks) and set(ranks) >= {0, 2}
    assert assign_roles(entropy, null, "threshold", 0.35, 0.7).count("attribute") == 4


def test_unknown_choices_are_refused():
    with pytest.raises(InputError, match="weights must be one of count, variance"):
        pick_weights(np.array([[0]]), np.array([[1.0]]), "size")
    with pytest.raises(InputError, match="roles-by must be one of"):
        assign_roles(np.zeros(2), np.zeros((3, 2)), "mood", 0, 1)
