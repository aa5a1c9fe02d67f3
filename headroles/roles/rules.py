"""From entropies to roles: Attribute (low Concept Entropy), Generalization (high), Mixed (between).

DeAR gives no thresholds; the three rules here are ours. Which is the default, and why, is in docs/results.md. Low
entropy alone makes no Attribute head: a head of few strong directions, or a bank of few texts a concept, has it by
chance. By the default rule a head has to stand out from its null model too.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.roles.concepts import q_values
from headroles.roles.role_map import STANDS_OUT

RULES = ("null", "threshold", "quantile")
_P = 0.5
"""Rule "null": Generalization from this p-value on: no more concentrated than the median of the null model."""


def assign_roles(
    entropy: Float[ndarray, "head"], p: Float[ndarray, "head"], rule: str, low: float, high: float
) -> list[str]:
    """The role of every head, from normalised entropies and p-values under the null model.

    `threshold`: Attribute up to `low` where the head stands out as well, Generalization from `high` on; a low head that
    does not stand out is Mixed. `quantile`: up to the `low`, and from the `high` quantile of these heads on: a ranking,
    which claims no more. `null`: Attribute where a head stands out, Generalization where p >= 0.5.
    """
    if rule not in RULES:
        raise InputError(f"roles-by must be one of {', '.join(RULES)}, got {rule!r}")
    if not len(entropy):
        return []
    stands_out = q_values(p) <= STANDS_OUT
    if rule == "null":
        attribute, general = stands_out, p >= _P
    elif rule == "quantile":
        bottom, top = np.quantile(entropy, [low, high])
        attribute, general = entropy <= bottom, entropy >= top
    else:
        attribute, general = (entropy <= low) & stands_out, entropy >= high
    return np.where(attribute, "attribute", np.where(general, "generalization", "mixed")).tolist()
