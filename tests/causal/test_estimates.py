"""Estimates: ratios to what is not above zero, intervals, and numbers that JSON has."""

import numpy as np

from headroles.causal.estimates import estimate, finite, ratio


def test_a_ratio_to_nothing_is_infinite_or_unknown():
    found = ratio(np.array([2.0, 1.0, 1.0, -1.0]), np.array([4.0, 0.0, -1.0, 0.0]))
    assert found[0] == 0.5 and np.isinf(found[1:3]).all() and np.isnan(found[3])


def test_the_first_draw_is_the_estimate_and_the_others_its_interval():
    draws = np.array([5.0, *np.linspace(0, 1, 1001)])
    many, few = estimate(draws, 10_000), estimate(draws, 4)
    assert (many.value, many.low, many.high) == (5.0, 0.025, 0.975)
    assert few.low < 0.001 and few.high > 0.999  # Four units: Student's t is wide.
    unknown = estimate(np.array([np.inf, 1.0, np.nan, np.inf]), 100)
    assert (unknown.value, unknown.low, unknown.high) == (None, 1.0, None)


def test_numbers_have_six_digits():
    assert finite(1.23456789) == 1.23457 and finite(float("nan")) is None
