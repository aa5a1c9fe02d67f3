"""HeadSets: every set of heads that a validation cuts, each once, and which of them answer which question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headroles.causal.config import ValidateConfig
from headroles.causal.effects import HeadSet
from headroles.heads.matched import draw_any, draw_matched
from headroles.heads.names import Head
from headroles.roles.role_map import SILENT, HeadRole, RoleMap


@dataclass(frozen=True)
class HeadSets:
    """Sets are known by their number in `sets`."""

    sets: tuple[HeadSet, ...]
    """The first is empty: the intact model."""
    heads: tuple[HeadRole, ...]
    """All scored heads that say anything: silent ones are left out of everything."""
    singles: tuple[int, ...]
    """The set of each of these heads alone."""
    own: dict[str, int]
    """Concept -> the set of its Attribute heads."""
    matched: dict[str, tuple[int, ...]]
    """Concept -> its matched random sets of other heads; none where a layer has too few of them."""
    exchanged: dict[str, tuple[int, ...]]
    """Concept -> matched random sets that may share heads with its own, each once: what p-values rank it among."""
    general: dict[str, tuple[int, ...]]
    """Concept -> as many Generalization heads, drawn; none where there are too few."""

    @classmethod
    def draw(cls, role_map: RoleMap, config: ValidateConfig, concepts: Sequence[str]) -> HeadSets:
        """Sets for all concepts with Attribute heads that the images are labelled with."""
        known: dict[HeadSet, int] = {(): 0}

        def number(members: HeadSet) -> int:
            return known.setdefault(tuple(sorted(members)), len(known))

        heads = tuple(head for head in role_map if head.role != SILENT)
        variance = variances(heads)
        general = [(head.layer, head.head) for head in role_map if head.role == "generalization"]
        singles = tuple(number((place,)) for place in variance)
        own, matched, any_general, exchanged = {}, {}, {}, {}
        for row, concept in enumerate(concepts):
            places = _own_heads(role_map, concept)
            if places:
                rng = np.random.default_rng([config.seed, 5, row])
                own[concept] = number(tuple(places))
                drawn = (
                    draw_matched(places, variance, config.draws, rng),
                    draw_any(general, len(places), config.draws, rng),
                )
                matched[concept], any_general[concept] = (tuple(map(number, each)) for each in drawn)
                ranked = draw_matched(places, variance, config.draws, rng, apart=False)
                exchanged[concept] = tuple(sorted(set(map(number, ranked))))
        return cls(tuple(known), heads, singles, own, matched, exchanged, any_general)

    def members(self, concept: str) -> HeadSet:
        """The Attribute heads of a concept."""
        return self.sets[self.own[concept]]


def variances(heads: RoleMap | Sequence[HeadRole]) -> dict[Head, float]:
    """(layer, head) -> variance of the head's part of the unit embedding."""
    return {(head.layer, head.head): head.variance for head in heads}


def _own_heads(role_map: RoleMap, concept: str) -> list[Head]:
    return [(head.layer, head.head) for head in role_map if head.role == "attribute" and head.concept == concept]
