"""Spearman's rank correlation of two tables, a row a head, against its permutations of heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata


@dataclass(frozen=True)
class RankCorrelation:
    """How far two tables of the same heads have one order."""

    rho: float
    """Spearman's correlation over all entries, in [-1, 1]; nan where all entries of a table are alike."""
    p_value: float
    """Share of permutations of heads whose correlation is as large or larger (one-sided, the one that is there counted
    among them); nan with `rho`."""
    heads: int
    """How many heads."""


def correlate_ranks(
    one: Float[ndarray, "head column"], other: Float[ndarray, "head column"], draws: int = 9999, seed: int = 0
) -> RankCorrelation:
    """Spearman's correlation of all entries, and its p-value by `draws` permutations of the rows of one table.

    Heads are permuted and not entries: the entries of a head hang together, and a column may be high in both tables
    whichever heads do what.
    """
    ranks = [rankdata(table).reshape(table.shape) for table in (one, other)]
    first, second = (each - each.mean() for each in ranks)
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    if size == 0:
        return RankCorrelation(np.nan, np.nan, len(one))
    products = first @ second.T  # Every head of one table with every head of the other.
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(len(one)), (draws, 1)), axis=1)
    drawn = products[np.arange(len(one)), orders].sum(1)
    found = float(np.trace(products))
    least = found - 1e-9 * size  # Sums in another order round otherwise.
    return RankCorrelation(found / size, (1 + int((drawn >= least).sum())) / (1 + draws), len(one))
