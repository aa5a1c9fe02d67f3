"""Stand-ins: random heads of other concepts, one by one like the heads they stand for, to drop in their place.

`headroles.matched_heads` draws sets that are alike as a whole, whatever their concepts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headroles.errors import InputError
from headroles.heads import Head
from headroles.role_map import RoleMap

_NEAR = 4.0
"""A matched head's variance is within this factor of the head's that it stands for."""


def draw_stand_ins(role_map: RoleMap, heads: Sequence[Head], draws: int, seed: int) -> list[tuple[Head, ...]]:
    """Draws of heads of other concepts: as many in each layer, each of a variance near that of the head it stands for.

    Near: within a factor of 4, else the nearest in the layer. A head that shares its dominant concept with one of
    `heads` is no random head. Raises InputError where a layer has too few others.
    """
    concepts = {head.concept for head in role_map if (head.layer, head.head) in set(heads)}
    variance = {(head.layer, head.head): max(head.variance, 1e-30) for head in role_map}
    other = [(head.layer, head.head) for head in role_map if head.concept not in concepts]
    rng, found = np.random.default_rng([seed, 7]), []
    for _ in range(draws):
        taken: set[Head] = set()
        for head in sorted(heads, key=lambda each: rng.random()):
            others = [each for each in other if each[0] == head[0] and each not in taken]
            if not others:
                raise InputError(f"heads: layer {head[0]} has too few heads of other concepts; choose fewer")
            ratio = {each: abs(np.log(variance[each] / variance[head])) for each in others}
            near = [each for each in others if ratio[each] <= np.log(_NEAR)] or [min(ratio, key=ratio.get)]
            taken.add(near[int(rng.integers(len(near)))])
        found.append(tuple(sorted(taken)))
    return found
