"""ValidateConfig: how a validation cuts, what it draws, and what it compares."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from headroles.checks import check_choices, check_fields, check_least
from headroles.errors import InputError
from headroles.heads.ablate import EFFECTS, MODES


@dataclass(frozen=True)
class ValidateConfig:
    """All settings of a validation; written into it."""

    effect: str = "direct"
    """"direct": only the heads' own part of the embedding; "total": also what later layers make of it."""
    mode: str = "mean"
    """What stands in for a cut head: "mean" over the labelled images, "zero", or "resample" (another image's)."""
    draws: int = 100
    """Matched random sets a concept, of other heads, and once more for its p-value, of any; at least 20."""
    blocks: int = 32
    """Blocks of images that the bootstrap draws from."""
    bootstraps: int = 1000
    """Resamples of the blocks."""
    seed: int = 1
    """Seed of rendered scenes, random sets and resamples."""
    concepts: tuple[str, ...] | None = None
    """Labelled concepts to use; None: all."""
    doses: tuple[float, ...] = ()
    """Factors to scale each concept's heads by besides, about what stands in for a cut head: see
    `headroles.causal.doses`; none: heads are cut only."""
    allow_overlap: bool = False
    """Judge by images that the role map was scored on, too; the validation says how many there were."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, effect=EFFECTS, mode=MODES)
        check_least(self, draws=20, blocks=2, bootstraps=20, seed=0)
        object.__setattr__(self, "doses", check_doses(self.doses))

    def to_dict(self) -> dict[str, Any]:
        """Values as JSON keeps them."""
        concepts = None if self.concepts is None else list(self.concepts)
        return {**dataclasses.asdict(self), "concepts": concepts, "doses": list(self.doses)}


def check_doses(doses: Any) -> tuple[float, ...]:
    """Factors in order, each once; InputError where one is no finite number."""
    try:
        found = tuple(sorted({float(dose) for dose in doses}))
    except (TypeError, ValueError):
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        given = ",".join(map(str, doses)) if isinstance(doses, (list, tuple)) else str(doses)
        raise InputError(f"doses must be finite numbers such as -1, 0, 0.5, 2, 5, got {given[:60]!r}")
    return found
