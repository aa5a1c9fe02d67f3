"""The F-test for traces: how often chance alone explains as much of an output with several, dependent directions.

A trace sums squares over directions of unequal variance, so explained over rest is no F. For normal outputs
Pr[explained / rest >= r] = Pr[sum_k roots_k X_k - r sum_k roots_k Y_k >= 0] with independent chi-squares X_k and Y_k of
the degrees of freedom of both, and the roots of the covariance that is left. Its tail is taken by a saddlepoint
(Lugannani and Rice 1980, for quadratic forms Kuonen 1999), which holds far out, where Box's (1954) effective degrees of
freedom are several times too small: what counts after Bonferroni.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

_STEPS = 100
"""Bisections for the saddlepoint: to the last bit."""
_NEAR = 1e-3
"""Distance from the mean, in deviations, within which the limit of the formula is taken."""


def trace_tail(
    ratio: Float[ndarray, "head"], roots: Float[ndarray, "head width"], free: float, left: float
) -> Float[ndarray, "head"]:
    """Pr[explained / rest >= ratio] under chance, with `free` and `left` degrees of freedom; ratios are positive.

    `roots` are variances of the rest along its principal directions, in any unit.
    """
    roots = np.maximum(0, roots / roots.max(-1, keepdims=True))
    weight = np.concatenate([roots, -ratio[:, None] * roots], 1)
    degrees = np.repeat([free, left], roots.shape[1])

    def derivative(t: Float[ndarray, "head"], order: int) -> Float[ndarray, "head"]:
        """Of the cumulant generating function -1/2 sum degrees log(1 - 2 weight t)."""
        inner = 1 - 2 * weight * t[:, None]
        if order == 0:
            return -0.5 * (degrees * np.log(inner)).sum(1)
        return [1, 2, 8][order - 1] * (degrees * (weight / inner) ** order).sum(1)

    low, high = -0.5 / ratio, np.full(len(ratio), 0.5)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = derivative(middle, 1) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    t = (low + high) / 2
    curve = derivative(t, 2)
    w = np.sign(t) * np.sqrt(np.maximum(0, -2 * derivative(t, 0)))
    far = np.abs(w) > _NEAR
    safe = np.where(far, w, 1.0)
    tail = norm.sf(safe + np.log(np.where(far, t * np.sqrt(curve) / safe, 1.0)) / safe)
    limit = 0.5 - derivative(t, 3) / (6 * np.sqrt(2 * np.pi) * curve**1.5)
    return np.clip(np.where(far, tail, limit), 0, 1)
