"""The group lasso keeps its optimality conditions, and is what is known where a closed form is."""

import numpy as np
import pytest

from headroles.roles.group_lasso import group_lasso, misfit


@pytest.fixture(scope="module")
def problem():
    """Eight groups of three dependent features, four targets that two groups carry; (gram, cross)."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 24)) @ (np.eye(24) + 0.3 * rng.normal(size=(24, 24)))
    target = features[:, :6] @ rng.normal(size=(6, 4)) + rng.normal(size=(200, 4))
    features -= features.mean(0)
    gram, cross = features.T @ features / 200, features.T @ (target - target.mean(0)) / 200
    return gram.reshape(8, 3, 8, 3), cross.reshape(8, 3, 4)


def slope(gram, cross, weights):
    return cross - np.einsum("gihj,hjt->git", gram, weights)


@pytest.mark.parametrize("share", [0.8, 0.2, 0.01])
def test_the_optimality_conditions_hold(problem, share):
    gram, cross = problem
    most = np.linalg.norm(cross, axis=(1, 2)).max()
    penalty = share * most * np.linspace(0.5, 1.5, 8)
    weights = group_lasso(gram, cross, penalty)
    length, push = np.linalg.norm(weights, axis=(1, 2)), slope(gram, cross, weights)
    for group in range(8):
        if length[group]:
            expected = penalty[group] * weights[group] / length[group]
            np.testing.assert_allclose(push[group], expected, atol=1e-6 * most)
        else:
            assert np.linalg.norm(push[group]) <= penalty[group] + 1e-6 * most
    assert misfit(push, weights, penalty) <= 1e-6 * most
    assert misfit(slope(gram, cross, 1.01 * weights), 1.01 * weights, penalty) > 1e-4 * most
    assert share < 0.5 or (length == 0).sum() >= 4


def test_without_penalty_it_is_least_squares_and_from_the_largest_slope_on_nothing(problem):
    gram, cross = problem
    squares = np.linalg.solve(gram.reshape(24, 24), cross.reshape(24, 4)).reshape(8, 3, 4)
    np.testing.assert_allclose(group_lasso(gram, cross, np.zeros(8), near=1e-9), squares, atol=1e-3)
    most = np.linalg.norm(cross, axis=(1, 2)).max()
    assert (group_lasso(gram, cross, np.full(8, 1.0001 * most)) == 0).all()
    assert np.linalg.norm(group_lasso(gram, cross, np.full(8, 0.999 * most)), axis=(1, 2)).astype(bool).sum() == 1


def test_orthonormal_features_shrink_in_one_step():
    cross = np.random.default_rng(1).normal(size=(5, 2, 3))
    length = np.linalg.norm(cross, axis=(1, 2))[:, None, None]
    found = group_lasso(np.eye(10).reshape(5, 2, 5, 2), cross, np.full(5, 2.0))
    np.testing.assert_allclose(found, cross * np.maximum(0, 1 - 2 / length), atol=1e-6)
    assert (group_lasso(np.zeros((5, 2, 5, 2)), cross, np.ones(5)) == 0).all()
