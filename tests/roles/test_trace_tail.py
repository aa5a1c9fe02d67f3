"""The tail of a ratio of traces: exact where an F-test is, right where it is not."""

import numpy as np
import pytest
from scipy.stats import f

from headroles.roles.trace_tail import trace_tail

RATIO = np.array([0.01, 0.1, 0.35, 0.5, 0.9, 2.0])


@pytest.mark.parametrize("width", [1, 5])
def test_equal_directions_are_the_f_test_down_to_tiny_p(width):
    free, left = 3.0, 40.0
    found = trace_tail(RATIO, np.ones((len(RATIO), width)), free, left)
    exact = f.sf(RATIO * left / free, width * free, width * left)
    np.testing.assert_allclose(found, exact, rtol=0.1)
    assert exact[-1] < 1e-8


def test_unequal_directions_agree_with_simulation():
    roots, free, left, rng = np.array([1, 0.3, 0.1]), 2, 30, np.random.default_rng(0)
    drawn = (rng.chisquare(free, (400_000, 3)) @ roots) / (rng.chisquare(left, (400_000, 3)) @ roots)
    for ratio in (0.02, 0.07, 0.2, 0.4, 0.55):
        expected = (drawn >= ratio).mean()
        assert trace_tail(np.array([ratio]), roots[None], free, left)[0] == pytest.approx(expected, rel=0.15)
    assert (drawn >= 0.55).mean() < 1e-3


def test_the_unit_of_the_roots_is_of_no_account_and_p_falls_with_the_ratio():
    roots = np.tile([4.0, 2.0, 0.0], (len(RATIO), 1))
    found = trace_tail(RATIO, roots, 4, 100)
    np.testing.assert_allclose(found, trace_tail(RATIO, roots * 1e-9, 4, 100))
    assert (np.diff(found) < 0).all() and found[0] > 0.9
    near = trace_tail(np.linspace(0.0399, 0.0401, 9), np.tile([1.0, 0.5], (9, 1)), 4, 100)
    assert (np.diff(near) < 0).all()  # no jump at the mean, where the formula is taken to its limit
