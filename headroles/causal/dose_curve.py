"""What scaling a concept's heads does to it, factor by factor: a part of a Validation. Needs no torch to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from headroles.causal.costs import Estimate
from headroles.files.ranges import Count, Filled, HeadName, Share


@dataclass(frozen=True)
class DosePoint:
    """One factor."""

    factor: float
    """What the heads' outputs are scaled by, about what stands in for a cut head: 0 cuts them, 1 leaves them."""
    gained: Estimate
    """Mean margin of the own concept less that of the intact model, in nats."""
    accuracy: Share
    """Share of images whose right value of the own concept is the likeliest, zero-shot."""
    random: Estimate | None
    """The same gain where matched sets are scaled, on average; None without any."""
    random_range: tuple[float, float] | None
    """Least and largest mean gain of these sets."""
    others: float | None
    """Mean gain of the other labelled concepts; None where there are none."""


@dataclass(frozen=True)
class DoseCurve:
    """The Attribute heads of one concept, scaled together."""

    concept: str
    """Whose heads they are, and whose margin is measured."""
    heads: Annotated[tuple[HeadName, ...], Filled()]
    """Their names."""
    matched: Count
    """Different matched sets that are scaled beside them: the first of those that the test draws."""
    points: Annotated[tuple[DosePoint, ...], Filled()]
    """By factor."""
