"""HeadDirection: one singular direction of a head in a role map by weights, and the texts of what it writes."""

from __future__ import annotations

from dataclasses import dataclass

from headroles.files.ranges import Amount, Count, Share
from headroles.roles.picked_text import PickedText


@dataclass(frozen=True)
class Side:
    """One way along a direction: a head adds a multiple of it, of either sign, to the embedding."""

    fidelity: Share
    """Share of its squared length that its texts explain."""
    texts: tuple[PickedText, ...]
    """A non-negative combination of texts, best first; their shares sum to the fidelity."""


@dataclass(frozen=True)
class HeadDirection:
    """One singular direction of a head (`headroles.heads.directions`)."""

    number: Count
    """0 has the largest singular value; `L6.H5.D0` is written so."""
    sigma: Amount
    """Its singular value: how strongly it writes what it reads."""
    share: Share
    """Its share of the strength of all directions of the head."""
    plus: Side
    """What the embedding gets where the direction is read positively."""
    minus: Side
    """The opposite."""

    @property
    def concept(self) -> str:
        """The concept that its texts, of both sides, explain most of; "" where they explain nothing."""
        found: dict[str, float] = {}
        for picked in (*self.plus.texts, *self.minus.texts):
            found[picked.concept] = found.get(picked.concept, 0) + picked.share
        return max(found, key=lambda name: found[name], default="")
