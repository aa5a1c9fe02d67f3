"""Debiased: the worst group of classes and cue values before and after some heads were damped, beside other heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.files.documents import Document
from headroles.files.ranges import Count, Share
from headroles.heads.weights import HeadWeights
from headroles.roles.judged import describe_overlap
from headroles.roles.role_map import ModelInfo
from headroles.shown import Shown, html_table, show_p

if TYPE_CHECKING:
    import pandas as pd

MEASURED = (
    "task", "classifier", "heads", "scale", "effect", "before", "after", "gain", "gain_interval", "random", "broken",
    "overlap",
)  # fmt: skip
"""Fields of a Debiased without its origin: what `headroles debias --json` prints."""
_RANDOM = "matched random heads of other concepts"


@dataclass(frozen=True)
class Accuracies:
    """Of one classifier on the test images."""

    worst: Share
    """The lowest of a group, in [0, 1]."""
    worst_interval: tuple[Share, Share]
    """95%, from the groups' Wilson intervals: of those that may be the worst."""
    mean: Share
    """Over all test images."""
    mean_interval: tuple[Share, Share]
    """95% Wilson, for groups of given sizes."""
    groups: Mapping[str, Share]
    """Group -> accuracy."""


@dataclass(frozen=True)
class RandomHeads:
    """Gains of the worst group with matched random heads."""

    mean: float
    """Over the draws."""
    interval: tuple[float, float]
    """Their 2.5% and 97.5% quantiles."""
    draws: Count
    """How many there were."""
    distinct: Count
    """How many different sets of heads there were."""
    p_value: Share
    """(1 + sets that gained as much as the chosen heads) / (1 + all of them): different matched sets, which may share
    heads with the chosen ones; of learned factors, the shuffles."""
    ranked_among: Count
    """How many sets the p-value ranks the chosen heads among."""


@dataclass(frozen=True)
class Debiased(Document, Shown):
    """What damping heads did."""

    called, made_by = "debiased", "headroles debias"
    figures: ClassVar[Mapping[str, str]] = {"groups": "headroles.figures.debias:groups_figure"}

    task: str
    """Name of the task."""
    classifier: str
    """Where class vectors come from: "images" or "prompts"."""
    heads: str
    """Names, or where the factors come from."""
    scale: float | None
    """What was left of the heads; None for learned factors."""
    effect: str
    """"direct" or "total"."""
    before: Accuracies
    """Of the intact model."""
    after: Accuracies
    """With these heads damped."""
    gain: float
    """Of the worst group."""
    gain_interval: tuple[float, float]
    """95% basic bootstrap over images, within groups, the same resamples before and after."""
    random: RandomHeads
    """The same with other heads."""
    broken: tuple[str, ...]
    """Images that could not be read."""
    model: ModelInfo
    """The model."""
    settings: Mapping[str, Any]
    """Every setting of `headroles.uses.cue_bench.DebiasConfig`; the ablation, where heads were cut."""
    overlap: float = 0.0
    """Share of the test images that the role map was scored on, where it chose the heads."""
    learned: HeadWeights | None = None
    """The factors, where they were learned."""
    format: str = "headroles.debiased"
    """Marks the file."""
    schema_version: int = 2
    """Version of the file's layout."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the images were read, as `headroles.Reading.to_dict` says it."""

    def to_frame(self) -> pd.DataFrame:
        """One row before and one after: worst group and mean, with intervals, and every group's accuracy."""
        import pandas as pd

        rows = []
        for name, each in (("before", self.before), ("after", self.after)):
            worst, mean = each.worst_interval, each.mean_interval
            rows.append(
                {"heads": name, "worst": each.worst, "worst_low": worst[0], "worst_high": worst[1], "mean": each.mean,
                 "mean_low": mean[0], "mean_high": mean[1], **each.groups}
            )  # fmt: skip
        return pd.DataFrame(rows)

    def to_text(self) -> str:
        """A few lines for people, accuracies in percent with 95% intervals."""
        how = "learned factors" if self.scale is None else f"scale {self.scale:g}"
        lines = [f"{self.task}, class vectors from {self.classifier}; {self.heads}: {how}, {self.effect} effect"]
        lines.append(f"{'':<16}{'worst group':<24}{'mean':<24}" + "  ".join(self.before.groups))
        for name, each in (("before", self.before), ("after", self.after)):
            groups = "  ".join(f"{100 * value:>{len(group)}.1f}" for group, value in each.groups.items())
            worst, mean = _percent(each.worst, each.worst_interval), _percent(each.mean, each.mean_interval)
            lines.append(f"{name:<16}{worst:<24}{mean:<24}{groups}")
        lines.append(f"worst group {_percent(self.gain, self.gain_interval, '+')} points")
        other, what = self.random, "the same factors shuffled in each layer" if self.scale is None else _RANDOM
        lines.append(
            f"{what} {_percent(other.mean, other.interval, '+')} points over {other.draws} draws "
            f"({other.distinct} distinct); p {show_p(other.p_value)} (of {other.ranked_among + 1} sets)"
        )
        if self.broken:
            lines.append(f"left out {len(self.broken)} broken image files: {', '.join(self.broken[:5])}")
        if self.overlap:
            lines.append(describe_overlap(self.overlap))
        return "\n".join(lines)

    def __repr__(self) -> str:
        gain = _percent(self.gain, self.gain_interval, "+")
        return f"Debiased({self.task}, {self.heads}: worst group {gain} points, {self.effect} effect)"

    def _repr_html_(self) -> str:
        groups = tuple(self.before.groups)
        rows = [
            (
                name,
                _percent(each.worst, each.worst_interval),
                _percent(each.mean, each.mean_interval),
                *(f"{100 * each.groups[group]:.1f}" for group in groups),
            )
            for name, each in (("before", self.before), ("after", self.after))
        ]
        return html_table(f"{self.task}, {self.heads}, accuracy in percent", ("", "worst group", "mean", *groups), rows)


def _percent(value: float, interval: tuple[float, float], sign: str = "") -> str:
    """Percent with its interval."""
    return f"{100 * value:{sign}.1f} [{100 * interval[0]:{sign}.1f}, {100 * interval[1]:{sign}.1f}]"
