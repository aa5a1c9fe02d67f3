"""The six measures of continual learning, by hand on three tasks."""

import pytest

from headroles.adapt.results.continual import measure_continual
from headroles.errors import InputError

TABLE = [
    # zero-shot, after task 1, 2, 3
    [0.20, 0.90, 0.80, 0.85],
    [0.30, 0.40, 0.95, 0.70],
    [0.50, 0.45, 0.35, 0.75],
]


def test_the_six_measures_equal_those_by_hand():
    found = measure_continual(TABLE)
    assert found.transfer == pytest.approx((0.40 + (0.45 + 0.35) / 2) / 2)
    assert found.average == pytest.approx((0.90 + 0.80 + 0.85 + 0.40 + 0.95 + 0.70 + 0.45 + 0.35 + 0.75) / 9)
    assert found.last == pytest.approx((0.85 + 0.70 + 0.75) / 3)
    assert found.forgetting == pytest.approx(((0.90 - 0.85) + (0.95 - 0.70)) / 2)
    assert found.backward_transfer == pytest.approx(((0.85 - 0.90) + (0.70 - 0.95)) / 2)
    assert found.zero_shot_degradation == pytest.approx(((0.40 - 0.40) + (0.50 - 0.35)) / 2)


def test_a_model_that_never_changes_forgets_nothing():
    found = measure_continual([[0.5] * 4] * 3)
    assert found.forgetting == found.backward_transfer == found.zero_shot_degradation == 0
    assert found.transfer == found.average == found.last == 0.5


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[0.5, 0.6]], "a row for each of T >= 2 tasks and T . 1 columns"),
        ([[0.5, 0.6], [0.5, 0.6]], "zero-shot first; got .2, 2."),
        ([[50, 60, 70], [50, 60, 70]], r"expected numbers in \[0, 1\]"),
        ([[0.5, 0.6, 0.7], [0.5]], "rows of several lengths"),
    ],
)
def test_other_tables_are_refused(table, expected):
    with pytest.raises(InputError, match=expected):
        measure_continual(table)
