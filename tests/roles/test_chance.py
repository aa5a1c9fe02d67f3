"""Intervals that cover with few units, p-values that are never 0, rank correlations with something held."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, pearsonr

from headroles.causal.selectivity import rank_correlation
from headroles.roles.chance import bca_interval, tail_share
from headroles.shown import show_p


def test_tails_are_the_normals_for_many_units_and_students_for_few():
    assert tail_share(1_000_000) == pytest.approx(0.025, rel=1e-3)
    assert tail_share(32) == pytest.approx(norm.cdf(-2.0395 * np.sqrt(32 / 31)), rel=1e-3)
    assert tail_share(4) < 0.001 and tail_share(1) == 0


def test_bca_is_scipys():
    rng = np.random.default_rng(0)
    values, draws = rng.exponential(size=(30, 1)), rng.integers(30, size=(20_000, 30))
    found = bca_interval(values, draws, lambda rows: rows.mean(-2)[..., 0])
    expected = bootstrap((values[:, 0],), np.mean, n_resamples=20_000, method="BCa").confidence_interval
    np.testing.assert_allclose(found, expected, rtol=0.03)
    assert bca_interval(values, draws[:9], lambda rows: np.full(rows.shape[:-2], np.nan)) is None
    assert bca_interval(np.ones((5, 1)), draws[:9, :5] % 5, lambda rows: rows.mean(-2)[..., 0]) == (1, 1)


def test_no_p_value_reads_as_nothing():
    assert show_p(0.0) == show_p(1e-6) == "< 1e-4" and (show_p(0.00049), show_p(0.25)) == ("0.00049", "0.25")


def test_a_partial_rank_correlation_is_that_of_residual_ranks():
    rng = np.random.default_rng(1)
    values = np.stack([rng.permutation(40) for _ in range(3)], 1).astype(float)
    values[:, 1] += 2.37 * values[:, 2]
    held = np.stack([values[:, 2].argsort().argsort(), np.ones(40)], 1)
    ranks = values.argsort(0).argsort(0)
    rests = [ranks[:, side] - held @ np.linalg.lstsq(held, ranks[:, side], rcond=None)[0] for side in (0, 1)]
    assert rank_correlation(values) == pytest.approx(pearsonr(*rests).statistic)
    assert rank_correlation(values[:, :2]) == pytest.approx(pearsonr(ranks[:, 0], ranks[:, 1]).statistic)
    assert np.isnan(rank_correlation(values[:, [0, 2, 2]])) and np.isnan(rank_correlation(np.ones((9, 2))))
