"""PickedText: one of the texts that describe a head, or a direction of it."""

from __future__ import annotations

from dataclasses import dataclass

from headroles.files.ranges import Share


@dataclass(frozen=True)
class PickedText:
    """One of the texts that span a head's output, or of the values that it sets apart (image probes)."""

    text: str
    """The probe text; "color: red" for the value red of the concept color."""
    concept: str
    """Its concept."""
    share: Share
    """Share of the head's variance along the direction that this text added, or that this value explains. By weights:
    share of what the head, or one side of a direction, writes that this text explains."""
