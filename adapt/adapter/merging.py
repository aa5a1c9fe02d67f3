"""What an adapter was merged of, and how: a part of its adapter_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class MergedPart:
    """One of the adapters that were merged."""

    task: str
    """What it was trained on."""
    trained_classes: tuple[str, ...]
    """The classes of its training images."""
    shots: int | None
    """Training images a class; None for all of them."""
    seed: int
    """Seed of its training."""
    sha256: str
    """Of its adapter_model.safetensors."""


@dataclass(frozen=True)
class Merging:
    """How several adapters became one."""

    parts: tuple[MergedPart, ...]
    """What was merged, the newest last."""
    settings: Mapping[str, Any]
    """The fields of `headroles.adapt.MergeConfig` that its rule uses."""
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Place -> weight of each part, where they have weights: "all", or towers' layers and attributes (RECALL)."""
    samples: str | None = None
    """Where the images of RECALL came from."""
    notes: tuple[str, ...] = ()
    """What is odd about these parts together, a sentence each."""
