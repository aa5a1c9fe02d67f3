"""What a training says of itself: step by step for a progress bar, epoch by epoch for its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch was like; means over its images."""

    epoch: int
    """Counted from 1."""
    loss: float
    """The whole loss."""
    losses: Mapping[str, float]
    """Its weighted parts, by name."""
    accuracy: float
    """Share of training images whose class had the highest logit, in [0, 1]."""
    lr: float
    """Learning rate of the last step."""
    alpha: Mapping[str, float]
    """Fusion weights at the end, "cls" first; they sum to 1. None of a method that fuses nothing."""
    validation: float | None = None
    """Share of validation images that were right after it, in [0, 1]; None where the last epoch is taken anyway."""


@dataclass(frozen=True)
class Step:
    """Where a training is, for a progress bar."""

    step: int
    """Steps done, over all epochs."""
    steps: int
    """Steps in all."""
    epoch: int
    """The epoch that this step belongs to, from 1."""
    loss: float
    """Mean over this epoch so far."""
    accuracy: float
    """The same, in [0, 1]."""
    record: EpochRecord | None
    """The epoch's record, after its last step."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The weighted parts of this step's own loss, by name."""
    lr: float = 0.0
    """Learning rate of this step."""
