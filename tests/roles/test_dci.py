"""DCI and CCS against hand computation."""

import numpy as np
import pytest
from scipy.stats import entropy

from headroles.roles.dci import Spreads, concept_consistency, disentanglement


def by_hand(importance):
    """Eastwood and Williams: one minus the entropy of each row's shares, to the base of their number."""
    return [1 - entropy([x / sum(row) for x in row], base=len(row)) for row in importance]


def test_disentanglement_and_completeness_are_those_of_the_definition():
    importance = np.random.default_rng(0).gamma(0.4, size=(7, 4))
    np.testing.assert_allclose(disentanglement(importance), by_hand(importance))
    np.testing.assert_allclose(disentanglement(importance.T), by_hand(importance.T))
    alone, even = disentanglement(np.array([[0, 2.0, 0], [1, 1, 1]]))
    assert alone == 1 and even == pytest.approx(0)
    assert np.isnan(disentanglement(np.zeros((1, 3)))).all() and np.isnan(disentanglement(np.ones((2, 1)))).all()


def test_by_texts_a_concept_is_complete_in_the_head_that_varies_most_with_it():
    explained, variance = np.array([[0.5, 0.1], [0.5, 0.1], [0.0, 0.9]]), np.array([9.0, 1e-9, 1.0])
    silent = np.array([False, False, True])
    picked = [["a", "a", "b", "a", "b", "b", "b"], ["b"], []]
    found = Spreads.by_texts(("a", "b"), explained, variance, picked, silent)
    assert [spread.ccs for spread in found.heads] == [0.6, 1.0, None]
    assert found.heads[0].explained == {"a": 0.5, "b": 0.1}
    assert (
        found.heads[0].disentanglement
        == found.heads[1].disentanglement
        == pytest.approx(by_hand([[5, 1]])[0], abs=1e-6)
    )
    assert found.concepts[0].completeness == pytest.approx(1, abs=1e-5) and found.concepts[0].chance is None
    assert found.heads[2].disentanglement is None


def test_by_images_importance_is_kept_with_what_all_heads_tell():
    importance = np.array([[1.0, 0.5], [0, 0.5]])
    found = Spreads.by_images(("a", "b"), importance, np.array([0.9, 0.4]), np.array([0.5, 0.4]), np.zeros(2, bool))
    assert [spread.completeness for spread in found.concepts] == [1.0, 0.0]
    assert (found.concepts[0].informativeness, found.concepts[1].chance) == (0.9, 0.4)
    assert found.heads[1].disentanglement == 1.0 and found.heads[0].shares == {"a": 1.0, "b": 0.5}


def test_consistency_counts_the_first_five():
    assert concept_consistency(["a", "b", "a"]) == pytest.approx(2 / 3) and concept_consistency([]) is None
