"""Settings of scoring: what every way has, and what is by texts or by labelled images alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from numpy import ndarray

from headroles.checks import check_bounds, check_choices, check_fields, check_least
from headroles.errors import InputError
from headroles.heads.ablate import TOWERS
from headroles.heads.constants import CONSTANTS
from headroles.heads.upstream import READINGS
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.layers import resolve_layers
from headroles.models.precision import PRECISIONS
from headroles.roles.concepts import WEIGHTS
from headroles.roles.explained import SHARES
from headroles.roles.rules import RULES, assign_roles
from headroles.roles.textspan import SELECTIONS

IMAGE_RULES = ("threshold", "quantile")
"""Rules of `headroles.roles.rules.assign_roles` that need no null model."""


@dataclass(frozen=True)
class RoleConfig:
    """Which heads, how roles follow from entropies, and how sure that is."""

    BOUNDS: ClassVar[tuple[float, float]] = (0.7, 0.85)
    """Attribute up to the first, Generalization from the second normalised entropy on, by the rule "threshold". By
    texts and by images these are entropies in different units; the evidence for both is in docs/results.md."""
    layers: str = "deep"
    """"deep" (the last third), "all", or numbers and ranges such as "8-11" or "3,6-7"."""
    roles_by: str = "threshold"
    """Rule of `headroles.roles.rules.assign_roles`."""
    low: float | None = None
    """Lower bound of the rules "threshold" (entropy) and "quantile" (quantile); None: that of `bounds`."""
    high: float | None = None
    """Upper bound of the same."""
    seed: int = 0
    """Seed of all that is drawn: null model, resamples and rendered scenes."""
    tower: str = "visual"
    """Whose heads: "visual" or "text"."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, tower=TOWERS)
        check_least(self, seed=0)
        check_bounds(*self.bounds)

    @property
    def bounds(self) -> tuple[float, float]:
        """`low` and `high`, or what stands for them: of a ranking a third of the heads each, of entropies `BOUNDS`."""
        low, high = (1 / 3, 2 / 3) if self.roles_by == "quantile" else self.BOUNDS
        return low if self.low is None else self.low, high if self.high is None else self.high

    def acting(self) -> dict[str, Any]:
        """All settings as they act: what a result keeps of them."""
        return {**dataclasses.asdict(self), **dict(zip(("low", "high"), self.bounds, strict=True))}

    def judge(self, entropy: Float[ndarray, "head"], p: Float[ndarray, "head"]) -> list[str]:
        """The role of every head by `roles_by`, see `headroles.roles.rules.assign_roles`."""
        return assign_roles(entropy, p, self.roles_by, *self.bounds)

    def tower_of(self, model: HookedCLIP) -> Tower:
        """The tower whose heads are scored. InputError where the model has none."""
        if self.tower == "text":
            model.check_text()
        return getattr(model, self.tower)

    def resolve_layers(self, model: HookedCLIP) -> tuple[int, ...]:
        """The numbers of the scored layers of this model's tower; InputError where it has not all of them."""
        tower = self.tower_of(model)
        return resolve_layers(self.layers, tower.layers, tower.pooling)


@dataclass(frozen=True)
class SampledConfig(RoleConfig):
    """What rests on images besides: how they are forwarded, and how intervals are drawn from them."""

    bootstraps: int = 100
    """Resamples of image blocks."""
    blocks: int = 32
    """Image blocks; heads of a tower that pools (SigLIP) may get fewer, see `headroles.heads.moments.blocks_within`."""
    precision: str = "no"
    """Matrix products of the images' forward in fp32 ("no"), "bf16" or "fp16"; sums are float64 always."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, precision=PRECISIONS)
        check_least(self, bootstraps=1, blocks=2)


@dataclass(frozen=True)
class ScoreConfig(SampledConfig):
    """All settings of a role map by texts; written into it."""

    texts_per_head: int = 20
    """Texts that describe a head; at most its width."""
    selection: str = "std"
    """TextSpan picks by "std" (original) or "variance" (per unit of text length)."""
    weights: str = "variance"
    """A picked text counts as its share of "variance", or 1 ("count", DeAR). The evidence for this and the next
    defaults is in docs/results.md."""
    prior_correction: bool = False
    """Divide a concept's weight by its share of the bank."""
    center_texts: bool = False
    """Take the bank's mean text off before picking."""
    constants: str = "apart"
    """Attention biases and the final LayerNorm's mean and beta have terms of their own ("apart"), or are spread over
    the "heads", as TextSpan's code does; see `headroles.heads.constants`."""
    rank: int | None = None
    """Texts are projected on so many leading directions of a head's output (TextSpan's code: 80); None: on all."""
    span_rank: int = 3
    """Leading directions of a concept's texts that a head's variance is held against; at most as many as the concept
    with the fewest texts has. See `headroles.roles.concept_span`."""
    null_draws: int = 1000
    """Random rotations of each head that make up the null model; fewer than 19 cannot show anything at 5%."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, selection=SELECTIONS, weights=WEIGHTS, roles_by=RULES, constants=CONSTANTS)
        check_least(self, texts_per_head=1, span_rank=1, null_draws=19, **({} if self.rank is None else {"rank": 1}))
        super().__post_init__()

    def resolve_layers(self, model: HookedCLIP) -> tuple[int, ...]:
        """As RoleConfig; InputError too where TextSpan's code is not made for this tower: it reads a CLS token."""
        if self.tower == "text" and self.constants == "heads":
            raise InputError("constants: heads is defined for images' CLS token; leave it out with tower text")
        if self.tower == "visual" and not model.visual.at_row and (self.constants == "heads" or self.rank is not None):
            name, value = ("rank", self.rank) if self.rank is not None else ("constants", self.constants)
            raise InputError(
                f"{name}: {value} is defined for CLIP's CLS token, and {model.model_name} pools its patches; leave it "
                "out"
            )
        return super().resolve_layers(model)


@dataclass(frozen=True)
class ImageScoreConfig(SampledConfig):
    """All settings of a role map by images; written into it."""

    shares: str = "marginal"
    """What a concept is credited with: all that its values explain ("marginal"), or what no other does ("unique")."""
    level: float = 0.05
    """A concept counts where its rank test holds at this level over all heads and concepts together (Bonferroni)."""
    values_per_head: int = 20
    """Values that describe a head, at most."""
    sharing: float = 0.0
    """How much importances prefer heads that many concepts use, see `headroles.roles.importance`; 0: not."""
    BOUNDS = (0.4, 0.6)

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, " with image probes", shares=SHARES, roles_by=IMAGE_RULES)
        check_least(self, values_per_head=0, sharing=0)
        super().__post_init__()
        if self.tower == "text":
            raise InputError(
                "tower: labels are of images, which heads of the text tower do not see; describe these by texts or by "
                "weights"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level must be between 0 and 1, got {self.level}")


@dataclass(frozen=True)
class WeightScoreConfig(RoleConfig):
    """All settings of a role map by weights; written into it. The evidence for the defaults is in docs/results.md."""

    texts_per_direction: int = 5
    """Texts that make up either side of a direction, at most: steps of the matching pursuit."""
    coherence: float = 0.5
    """Weight of a text's likeness to those already picked; 0: plain matching pursuit."""
    center_texts: bool = True
    """Take the bank's mean text off before picking."""
    reading: str = "heads"
    """A direction counts by sigma^2 times what earlier "heads" write along what it reads, or sigma^2 alone ("equal");
    see `headroles.heads.upstream`."""
    texts_per_head: int = 20
    """Texts that describe a head, at most."""
    directions_per_head: int = 8
    """Directions of a head that the role map names, the strongest; all of them count."""
    null_draws: int = 1000
    """Heads that write at random, which make up the null model; fewer than 19 cannot show anything at 5%."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, reading=READINGS, roles_by=RULES)
        check_least(self, texts_per_direction=1, texts_per_head=1, directions_per_head=0, null_draws=19)
        if not 0 <= self.coherence < math.inf:
            raise InputError(f"coherence must be a number of at least 0, got {self.coherence}")

    def resolve_layers(self, model: HookedCLIP) -> tuple[int, ...]:
        """As RoleConfig; InputError too where the model reads no texts, whichever tower is scored."""
        model.check_text()
        return super().resolve_layers(model)


CONFIGS: Mapping[str, type[RoleConfig]] = {
    "texts": ScoreConfig,
    "images": ImageScoreConfig,
    "weights": WeightScoreConfig,
}
"""What heads are described by -> the settings of that."""
