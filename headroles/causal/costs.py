"""What cutting heads costs: the parts of a Validation. Needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from headroles.files.ranges import Amount, Count, Filled, HeadName, Like, Share, Size, Within
from headroles.shown import show_p


@dataclass(frozen=True)
class Estimate:
    """A number and its 95% bootstrap interval, over blocks of images."""

    value: float | None
    """None for a ratio to what is not above zero."""
    low: float | None
    """The same holds for either end."""
    high: float | None
    """Upper end."""

    def __str__(self) -> str:
        if self.value is None:
            return "-" if self.low is None else f"above {self.low:.3g}"
        low, high = ("inf" if each is None else f"{each:.3g}" for each in (self.low, self.high))
        return f"{self.value:.3g} [{low}, {high}]"


@dataclass(frozen=True)
class IntactConcept:
    """A concept that images are labelled with, before anything is cut."""

    name: str
    """The concept."""
    values: Annotated[int, Within(2)]
    """How many values it has."""
    images: Size
    """How many images have one."""
    margin: float
    """Mean margin of the right value: log odds among the concept's values, in nats."""
    accuracy: Share
    """Share of images whose right value is the likeliest, zero-shot."""


@dataclass(frozen=True)
class Cost:
    """What cutting some heads does to one concept."""

    margin: Estimate
    """Mean margin lost, in nats; negative where cutting helps."""
    times: Estimate
    """Margin lost a head, over what one head of the matched sets of all tests costs this concept, on average."""
    accuracy: Annotated[float, Within(-1, 1)]
    """Zero-shot accuracy lost."""
    random: float | None
    """Mean margin lost to the test's matched sets."""
    general: float | None
    """Mean margin lost to as many Generalization heads."""


@dataclass(frozen=True)
class ConceptTest:
    """The Attribute heads of one concept, cut together."""

    concept: str
    """Whose heads they are, by the role map."""
    heads: Annotated[tuple[HeadName, ...], Filled()]
    """Their names."""
    draws: Count
    """Matched sets drawn: of other heads of the same layers, as many, of similar variance."""
    distinct: Count
    """Different ones among them."""
    ranked_among: Count
    """Different matched sets that the p-value ranks the heads among; these may share heads with them."""
    variance_ratio: Amount | None
    """Variance of the heads' parts of the embedding, over the mean of the matched sets'."""
    costs: Mapping[str, Cost]
    """Labelled concept -> what it lost."""
    against_random: Estimate | None
    """Own concept: margin lost over that lost to the test's matched sets."""
    against_general: Estimate | None
    """Own concept: margin lost over that lost to as many Generalization heads."""
    against_others: Estimate | None
    """`times` of the own concept over the mean of the other concepts'."""
    p_value: Share | None
    """(1 + sets it is ranked among that cost the own concept as much) / (1 + all of them)."""


@dataclass(frozen=True)
class HeadEffect:
    """One scored head, cut alone."""

    name: HeadName
    """Such as L7.H3."""
    role: Annotated[str, Like("attribute|mixed|generalization", "attribute, mixed or generalization")]
    """By the role map; silent heads are not cut."""
    concept: str
    """Dominant concept by the role map."""
    entropy: Amount
    """Concept Entropy by the role map; 1 is chance."""
    effective_rank: Amount
    """By the role map: the number of directions that the head uses."""
    strongest: str | None
    """The labelled concept with the largest `times`; None where no concept loses."""
    selectivity: Share | None
    """1 - normalised entropy of `times` over concepts (losses only): 1 where one concept alone loses."""
    costs: Mapping[str, float]
    """Labelled concept -> mean margin lost, in nats."""
    stands_out: bool = True
    """Whether it is more concentrated than chance, by the role map; taken for granted of files that do not say it."""


CORRELATIONS = {
    "entropy": "Concept Entropy",
    "effective_rank": "effective rank",
    "entropy_beside_rank": "Concept Entropy, effective rank held",
    "rank_beside_entropy": "effective rank, Concept Entropy held",
}
"""Name of a rank correlation with causal selectivity -> what it is with, in words."""
CorrelationName = Annotated[str, Like("|".join(CORRELATIONS), f"one of {', '.join(CORRELATIONS)}")]
"""One of `CORRELATIONS`."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of causal selectivity with something that the role map says, over heads."""

    rho: Annotated[float, Within(-1, 1, room=1e-6)]
    """In [-1, 1]."""
    low: float | None
    """Of the 95% bootstrap interval over heads (BCa); None where too few resamples define it."""
    high: float | None
    """The same."""
    p_value: Annotated[float, Within(1e-6, 1, room=1e-7)]
    """Two-sided, against no correlation; at least 1e-6."""
    heads: Annotated[int, Within(6)]
    """How many heads."""

    def __str__(self) -> str:
        known = self.low is not None and self.high is not None
        interval = f" [{self.low:.2f}, {self.high:.2f}]" if known else ""
        return f"{self.rho:.2f}{interval}, p {show_p(self.p_value)}"
