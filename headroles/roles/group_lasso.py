"""The group lasso: least squares in which whole groups of features have no weight (Yuan and Lin 2006).

    min_W  |Y - X W|^2 / (2 n) + sum_g penalty_g |W_g|

with the Frobenius norm of each group's rows of W. It is solved from G = X'X / n and C = X'Y / n alone, by accelerated
proximal gradient steps that start afresh where they overshoot (Beck and Teboulle 2009; O'Donoghue and Candes 2015),
until the optimality conditions hold: with the slope S = C - G W, S_g = penalty_g W_g / |W_g| for groups that have
weight and |S_g| <= penalty_g for those that have none.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_STEPS = 5000
"""Most steps of one problem."""


def group_lasso(
    gram: Float[ndarray, "group width group width"],
    cross: Float[ndarray, "group width target"],
    penalty: Float[ndarray, "group"],
    start: Float[ndarray, "group width target"] | None = None,
    near: float = 1e-6,
) -> Float[ndarray, "group width target"]:
    """The weights W; `start`: where to begin, such as the solution for a larger penalty.

    `near`: how far the optimality conditions may be missed, as a share of the largest slope at zero.
    """
    groups, features = len(cross), gram.shape[0] * gram.shape[1]
    square, goal = gram.reshape(features, features), cross.reshape(features, -1)
    largest, most = np.linalg.eigvalsh(square)[-1], _lengths(cross).max()
    if largest <= 0 or most <= 0:
        return np.zeros_like(cross)

    def move(at: Float[ndarray, "feature target"]) -> Float[ndarray, "feature target"]:
        """A step down the slope, and what the penalty leaves of it."""
        there = (at + (goal - square @ at) / largest).reshape(groups, -1)
        length = np.maximum(_lengths(there), 1e-300)
        return (there * np.maximum(0, 1 - penalty / largest / length)[:, None]).reshape(features, -1)

    weights = np.zeros_like(goal) if start is None else start.reshape(features, -1)
    ahead, pace = weights, 1.0
    for step in range(1, _STEPS + 1):
        new = move(ahead)
        if np.vdot(ahead - new, new - weights) > 0:
            new, pace = move(weights), 1.0
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, weights, pace = new + (pace - 1) / faster * (new - weights), new, faster
        if step % 10 == 0:
            slope = (goal - square @ weights).reshape(cross.shape)
            if misfit(slope, weights.reshape(cross.shape), penalty) <= near * most:
                break
    return weights.reshape(cross.shape)


def misfit(
    slope: Float[ndarray, "group width target"],
    weights: Float[ndarray, "group width target"],
    penalty: Float[ndarray, "group"],
) -> float:
    """By how much the optimality conditions are missed at worst, given S = C - G W."""
    length = _lengths(weights)
    push = np.divide(penalty, length, out=np.zeros_like(length), where=length > 0)
    with_weight = _lengths(slope - push[:, None, None] * weights)
    return float(np.where(length > 0, with_weight, with_weight - penalty).max())


def _lengths(rows: Float[ndarray, "group ..."]) -> Float[ndarray, "group"]:
    flat = rows.reshape(len(rows), -1)
    return np.sqrt(np.einsum("gk,gk->g", flat, flat))
