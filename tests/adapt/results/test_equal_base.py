"""Differences at equal base accuracy, Holm's p-values and power, against what can be said by hand or by simulation."""

import numpy as np
import pytest
from scipy import stats

from headroles.adapt.results.equal_base import adjust_holm, mean_difference, pair_up, read_at_base


def test_curves_are_read_at_the_least_strength_that_reaches_a_base_accuracy():
    base, values = np.array([0.2, 0.4, 0.3, 0.6]), np.array([0.5, 0.7, 0.1, 0.4])
    found = read_at_base(base, values, np.array([0.2, 0.3, 0.4, 0.5, 0.6]))
    assert found == pytest.approx([0.5, 0.6, 0.7, 0.1 + 0.3 * 2 / 3, 0.4])


def test_the_difference_is_the_area_between_curves_over_the_length_that_they_share():
    low, high = np.array([[0.2, 0.6], [0.5, 0.5]]), np.array([[0.2, 0.4], [0.5, 0.7]])
    assert mean_difference(high, low) == pytest.approx((0.1, 0.2))
    assert mean_difference(low, high) == pytest.approx((-0.1, 0.2))
    finer = np.array([[0.2, 0.25, 0.31, 0.4], [0.5, 0.55, 0.61, 0.7]])
    assert mean_difference(finer, low) == pytest.approx((0.1, 0.2))
    assert mean_difference(np.array([[0.2, 0.1], [0.5, 0.9]]), low) == (0.0, 0.0)


def test_holm_rejects_as_it_should():
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([0.5, 0.9]) == [1.0, 1.0]


def test_the_detectable_mean_is_seen_four_times_in_five():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(4000, 12))
    drawn = (drawn - drawn.mean(1, keepdims=True)) / drawn.std(1, ddof=1, keepdims=True)
    paired = pair_up(drawn[0], level=0.01)
    assert paired.mean == pytest.approx(0, abs=1e-12) and paired.p_value == pytest.approx(1)
    shifted = rng.normal(paired.detectable, 1, size=(4000, 12))
    assert (stats.ttest_1samp(shifted, 0, axis=1).pvalue <= 0.01).mean() == pytest.approx(0.8, abs=0.03)
    assert pair_up([0.0, 0.0]).p_value == 1 and pair_up([1.0, 2.0, 3.0]).bounds[0] < 0
