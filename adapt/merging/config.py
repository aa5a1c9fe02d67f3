"""MergeConfig: how adapters are merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from headroles.checks import check_choices, check_fields, check_least
from headroles.errors import InputError

RULES = MEAN, ARITHMETIC, RECALL = ("mean", "arithmetic", "recall")
"""How adapters become one."""
_USED: Mapping[str, tuple[str, ...]] = {
    MEAN: ("weights",),
    ARITHMETIC: ("strength",),
    RECALL: ("clusters", "temperature", "sigma", "seed"),
}


@dataclass(frozen=True)
class MergeConfig:
    """All settings of a merging. InputError for one that its rule has no use for."""

    by: str = MEAN
    """"mean", "arithmetic" (task arithmetic, arXiv 2212.04089) or "recall" (RECALL, arXiv 2510.20479)."""
    weights: tuple[float, ...] = ()
    """Of mean: the adapters' shares, scaled to sum to 1; none: alike."""
    strength: float | None = None
    """Of arithmetic: lambda in start + lambda * sum of (adapter - start); None: 1 / number of adapters, which leaves
    the mean of adapters that began alike, and an adapter with itself as it is (ours)."""
    clusters: int = 16
    """Of recall: clusters of the newest task's representations, a typical image of each. Unpublished; ours."""
    temperature: float = 1.0
    """Of recall: similarities are divided by it before the softmax. Unpublished; ours."""
    sigma: float | None = None
    """Of recall: width of the kernel; None: at every place the root of the median squared distance between two
    adapters' hidden states (ours)."""
    seed: int = 0
    """Of recall: seed of the clustering."""

    def __post_init__(self) -> None:
        if not isinstance(self.weights, tuple):
            object.__setattr__(self, "weights", tuple(self.weights))
        check_fields(self)
        check_choices(self, by=RULES)
        check_least(self, clusters=1, seed=0)
        for name in ("temperature", "sigma", "strength"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"{name} must be above 0, got {value:g}")
        self._check_weights()
        for field in fields(self):
            if field.name not in ("by", *_USED[self.by]) and getattr(self, field.name) != field.default:
                rule = next(rule for rule, names in _USED.items() if field.name in names)
                raise InputError(f"{field.name}: by {self.by} has no use for it; leave it out, or merge by {rule}")

    def _check_weights(self) -> None:
        numbers = all(isinstance(each, (int, float)) and math.isfinite(each) and each >= 0 for each in self.weights)
        if self.weights and (not numbers or not sum(self.weights)):
            raise InputError(f"weights must be numbers of at least 0, one above it, got {self.weights}")

    def to_dict(self) -> dict[str, Any]:
        """Its rule and what that uses, as plain values."""
        used = {name: getattr(self, name) for name in _USED[self.by]}
        return {"by": self.by, **{name: list(each) if isinstance(each, tuple) else each for name, each in used.items()}}
