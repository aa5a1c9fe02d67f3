"""How a head spreads over concepts, and a concept over heads, as a role map keeps it. Needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headroles.files.ranges import Share


@dataclass(frozen=True)
class HeadSpread:
    """How a head spreads over concepts."""

    explained: Mapping[str, Share] = field(default_factory=dict)
    """By texts: concept -> share of the head's variance in the span of its texts (`headroles.roles.concept_span`)."""
    importance: Mapping[str, Share] = field(default_factory=dict)
    """By labelled images: concept -> the head's part of what reads it off all heads (`headroles.roles.importance`); of
    a concept the heads' parts sum to 1."""
    disentanglement: Share | None = None
    """1 - entropy over concepts of what the head explains, or of its importance: 1 where it is one concept's alone.
    None where it has none."""
    ccs: Share | None = None
    """By texts: of its first five, the share that speaks of one concept (CCS@5, arXiv 2503.11103)."""

    @property
    def shares(self) -> Mapping[str, Share]:
        """What there is of both: `explained`, or `importance`."""
        return self.explained or self.importance

    def columns(self) -> dict[str, Any]:
        """As a table shows it: disentanglement, ccs, and one column a concept."""
        parts = {"explained": self.explained, "importance": self.importance}
        found = {f"{name}_{concept}": part[concept] for name, part in parts.items() for concept in sorted(part)}
        return {"disentanglement": self.disentanglement, "ccs": self.ccs, **found}


@dataclass(frozen=True)
class ConceptSpread:
    """How a concept spreads over heads."""

    concept: str
    """Its name."""
    completeness: Share | None
    """1 - entropy over the scored heads of what they hold of it: 1 where one head holds it all. None where none does.
    By texts a head holds the variance that its texts explain, by labelled images its importance."""
    informativeness: Share | None = None
    """By labelled images: share of held-out images whose value all heads together tell."""
    chance: Share | None = None
    """Share of them that naming the most frequent value would tell."""
