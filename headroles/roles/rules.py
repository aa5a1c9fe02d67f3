"""From entropies to roles: Attribute (low Concept Entropy), Generalization (high), Mixed (between).

DeAR gives no thresholds; the three rules here are ours. Which is the default, and why, is in docs/results.md.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.roles.concepts import p_values, q_values

RULES = ("null", "threshold", "quantile")
_Q = 0.05
"""Rule "null": Attribute below this false-discovery rate."""
_P = 0.5
"""Rule "null": Generalization from this p-value on: no more concentrated than the median shuffle."""


def assign_roles(
    entropy: Float[ndarray, "head"], null: Float[ndarray, "permutation head"], rule: str, low: float, high: float
) -> list[str]:
    """The role of every head, from normalised entropies.

    `threshold`: Attribute up to `low`, Generalization from `high` on. `quantile`: the same with the `low` and `high`
    quantiles of these heads. `null`: Attribute where Benjamini-Hochberg q <= 0.05 under shuffled concept labels
    (`null`, normalised too), Generalization where p >= 0.5.
    """
    if rule not in RULES:
        raise InputError(f"roles-by must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == "null":
        p = p_values(entropy, null)
        attribute, general = q_values(p) <= _Q, p >= _P
    else:
        bottom, top = np.quantile(entropy, [low, high]) if rule == "quantile" else (low, high)
        attribute, general = entropy <= bottom, entropy >= top
    return np.where(attribute, "attribute", np.where(general, "generalization", "mixed")).tolist()
