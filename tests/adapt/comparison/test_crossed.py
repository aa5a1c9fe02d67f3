"""Means over tasks crossed with seeds, Holm's p-values, ranks: against numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from headroles.adapt.comparison.crossed import CrossedMean, adjust_holm, join_halves
from headroles.adapt.comparison.ranks import Ranks
from headroles.adapt.metrics import harmonic_mean
from headroles.errors import InputError

CELLS = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])
"""Two tasks 2 apart, three seeds with means 2, 3 and 7, no rest: mean squares 6, 14 and 0."""


def test_the_variance_is_that_of_tasks_and_of_seeds():
    found = CrossedMean.of(CELLS)
    assert found.mean == 4 and found.error == pytest.approx(np.sqrt((6 + 14 - 0) / 6))
    assert found.freedom == pytest.approx(20**2 / (6**2 / 1 + 14**2 / 2))
    assert found.half == pytest.approx(stats.t.ppf(0.975, found.freedom) * found.error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(4 / found.error, found.freedom))


def test_where_seeds_have_nothing_in_common_it_is_students_over_the_tasks_means():
    cells = np.array([[0.5, 0.7], [0.7, 0.5], [0.9, 0.9]])
    found = CrossedMean.of(cells)
    assert (found.error, found.freedom) == (pytest.approx(stats.sem(cells.mean(1))), 2)


def test_one_task_leaves_seeds_one_seed_leaves_tasks_and_one_cell_leaves_nothing():
    row = np.array([[0.5, 0.6, 0.9]])
    for cells in (row, row.T):
        assert CrossedMean.of(cells).error == pytest.approx(stats.sem(row[0])) and CrossedMean.of(cells).freedom == 2
    single = CrossedMean.of(row[:, :1])
    assert (single.half, single.p_value) == (None, None)
    assert CrossedMean.of(np.full((2, 2), 0.5)).p_value is None  # Nothing varies, so nothing is tested.


def test_linearised_halves_have_the_harmonic_mean_of_the_means_and_its_slopes():
    base, novel = np.array([[0.8, 0.6]]), np.array([[0.3, 0.5]])
    joint, nudge = join_halves(base, novel), 1e-6
    assert joint.mean() == pytest.approx(harmonic_mean(0.7, 0.4))
    slope = (harmonic_mean(0.7 + nudge, 0.4) - harmonic_mean(0.7, 0.4)) / nudge
    assert (join_halves(base, novel * 0 + 0.4) - joint.mean())[0, 0] == pytest.approx(slope * 0.1, rel=1e-4)


def test_holm_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1 is .04, .06, .06, .04: never below the one before.
    adjusted = adjust_holm([0.04, 0.01, None, 0.03, 0.02])
    assert adjusted.pop(2) is None and adjusted == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjust_holm([0.9, 0.8]) == [1.0, 1.0]


def test_ranks_and_critical_difference_are_demsars():
    """Table 6 of Demsar (2006): four methods on 14 data sets have a critical difference of 1.25 at 5%."""
    values = np.tile([[0.9], [0.8], [0.7], [0.7]], (1, 14))
    found = Ranks.of(("a", "b", "c", "d"), values)
    assert found.mean_ranks == (1, 2, 3.5, 3.5) and found.p_value < 1e-6
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert found.alike == ((0, 1), (2, 3))
    assert Ranks.of(("a", "b", "c"), np.ones((3, 4))).p_value == 1
    with pytest.raises(InputError, match="at least 3 methods on 2 tasks, got 2 on 4"):
        Ranks.of(("a", "b"), np.ones((2, 4)))
