"""TaskHeads: which heads a task needs, which do it harm, and which may be touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.adapt.uses.agreement import Agreement
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Count, Share
from headroles.roles.role_map import ModelInfo
from headroles.shown import Shown, html_table, show_p

if TYPE_CHECKING:
    import pandas as pd

USES: dict[str, str] = {
    "cost": "margin lost without it, total effect",
    "direct": "margin lost without it, direct effect",
    "factor": "learned factor on its part of the embedding",
    "weight": "learned weight in the task vector (LTV)",
    "gate": "learned gate (head purification)",
    "delta": "margin lost on TaLo's few probing images",
}
"""Measure of use, a field of HeadUse -> what it is. More is more used."""
VERDICTS: dict[str, str] = {
    "needed": "without it the task's margin falls",
    "harmful": "without it the task's margin rises",
    "free": "without it the margin stays as it is, within the tolerance",
    "unclear": "these images cannot tell",
}
"""What is said of a head -> what that means."""


@dataclass(frozen=True)
class HeadUse:
    """What a task makes of one head. Margins are in nats, means over the images."""

    head: str
    """Such as L6.H3."""
    layer: Count
    """0-based."""
    role: str
    """By the role map."""
    concept: str
    """Its dominant concept by the role map."""
    asked: Share
    """The role map's share of the concepts that the task asks for."""
    cost: float
    """Margin of the right class lost by cutting the head, later layers included."""
    low: float
    """95% interval of `cost`, by bootstrap of images."""
    high: float
    """Its other end."""
    q_value: Share
    """Of a cost other than 0, two-sided, Benjamini-Hochberg over the heads."""
    accuracy: float
    """Accuracy lost, in [-1, 1]."""
    verdict: str
    """needed, harmful, free or unclear."""
    direct: float
    """Margin lost by cutting its own part of the embedding alone."""
    factor: float
    """Factor on that part, about its mean, that tells the labels best; 1 where nothing is to be gained."""
    weight: float | None = None
    """Size of its weight in LTV's task vector; None, as all below, where it was not learned."""
    gate: float | None = None
    """Its gate after head purification, from 1, not yet held in [0, 1]."""
    delta: float | None = None
    """Margin, a cosine here, that TaLo's probing images lose where the head is bypassed."""


@dataclass(frozen=True, repr=False)
class TaskHeads(Document, Shown):
    """Which heads does a task use, and did their roles foretell it?"""

    called, made_by, file_name = "task heads", "headroles task-heads", "task_heads.json"
    figures: ClassVar[Mapping[str, str]] = {
        "heads": "headroles.adapt.uses.plot:heads_figure",
        "agreement": "headroles.adapt.uses.plot:agreement_figure",
    }

    model: ModelInfo
    """The frozen CLIP."""
    task: str
    """The task."""
    concepts: tuple[str, ...]
    """The role map's concepts that its classes differ in."""
    images: Count
    """Training images of the task that heads were cut on."""
    zero_shot: Share
    """Accuracy of the intact CLIP on them."""
    heads: tuple[HeadUse, ...]
    """One a scored head that is not silent, by layer and head."""
    agreement: tuple[Agreement, ...]
    """One a measure of use that has an order."""
    settings: Mapping[str, Any]
    """What was asked for: seed, shots, resamples and the rest."""
    format: str = "headroles.task_heads"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The figures that there is something to draw for."""
        return tuple(kind for kind in self.figures if kind != "agreement" or self.agreement)

    def of_verdict(self, verdict: str) -> tuple[HeadUse, ...]:
        """The heads that are "needed" (most first), "harmful", "free" or "unclear"."""
        if verdict not in VERDICTS:
            raise InputError(f"verdict must be one of {', '.join(VERDICTS)}, got {verdict!r}")
        return tuple(sorted((use for use in self.heads if use.verdict == verdict), key=lambda use: -use.cost))

    def values(self, use: str) -> dict[str, float]:
        """Head -> one measure of its use; heads without a value are left out."""
        if use not in USES:
            raise InputError(f"use must be one of {', '.join(USES)}, got {use!r}")
        found = {each.head: getattr(each, use) for each in self.heads}
        return {head: value for head, value in found.items() if value is not None}

    def to_frame(self) -> pd.DataFrame:
        """One row a head."""
        import pandas as pd

        return pd.DataFrame([asdict(use) for use in self.heads])

    def agreement_frame(self) -> pd.DataFrame:
        """One row a measure of use: its rank correlation with the role map."""
        import pandas as pd

        return pd.DataFrame([{"task": self.task, **asdict(each)} for each in self.agreement])

    def to_table(self) -> str:
        """What may be touched, head by head, and how far roles foretold it, in words."""
        lines = [f"{self.task}: asks for {', '.join(self.concepts)}; {self.model.name} names "
                 f"{100 * self.zero_shot:.1f}% of {self.images} training images"]  # fmt: skip
        for verdict, meaning in VERDICTS.items():
            found = self.of_verdict(verdict)
            names = ", ".join(f"{use.head} {use.concept} {use.cost:+.2f}" for use in found) or "none"
            lines.append(f"{verdict:<8} {len(found):>3}  {names}  ({meaning})")
        for each in self.agreement:
            ends = "" if each.low is None or each.high is None else f" [{each.low:+.2f}, {each.high:+.2f}]"
            lines.append(f"roles and {each.use:<7} rho {each.rho:+.2f}{ends}, p {show_p(each.p_value)}  "
                         f"({USES[each.use]})")  # fmt: skip
        return "\n".join(lines)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of_verdict(verdict))} {verdict}" for verdict in VERDICTS)
        return f"TaskHeads({self.task}, {self.model.name}: {counts})"

    def _repr_html_(self) -> str:
        columns = ("head", "role", "concept", "asked", "cost", "verdict")
        rows = [(use.head, use.role, use.concept, f"{use.asked:.2f}", f"{use.cost:+.3f}", use.verdict)
                for use in self.heads]  # fmt: skip
        return html_table(f"{self.task}: heads in use", columns, rows)
