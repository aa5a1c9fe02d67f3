"""PrecisionAtK: how often neighbours share a value, concept by concept, by several ways to search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headroles.files.documents import Document
from headroles.files.ranges import Count, Share, Size
from headroles.roles.judged import describe_overlap
from headroles.roles.role_map import ModelInfo
from headroles.shown import html_table

if TYPE_CHECKING:
    import pandas as pd

_WAYS = {
    "whole": "whole embedding",
    "attribute": "Attribute heads",
    "any_role": "all heads of the concept",
    "weighed": "all heads by P",
    "gain": "gain",
}
"""Field of a row -> its title."""


@dataclass(frozen=True)
class Precision:
    """Share of the first k neighbours with the query's value, mean over queries, each with a 95% interval."""

    mean: float
    """In [0, 1]."""
    interval: tuple[float, float]
    """95%, over images, each of them a query and others' neighbour (`headroles.uses.hits`)."""
    queries: Count
    """Labelled images, each a query once."""

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} [{100 * self.interval[0]:.1f}, {100 * self.interval[1]:.1f}]"


@dataclass(frozen=True)
class PrecisionRow:
    """One concept's precision at k, by several ways to search."""

    concept: str
    """The concept."""
    heads: str
    """Its Attribute heads, or none."""
    chance: Share
    """Precision of neighbours drawn at random."""
    whole: Precision
    """By the whole embedding."""
    attribute: Precision | None
    """By the concept's Attribute heads; None where it has none."""
    any_role: Precision | None
    """By all heads whose dominant concept it is; None where there is none."""
    weighed: Precision
    """By all scored heads, each times its P(concept)."""
    gain: Precision | None
    """`attribute` minus `whole`, paired by query; where there are no Attribute heads, `weighed` minus `whole`."""


@dataclass(frozen=True)
class PrecisionAtK(Document):
    """Precision at k of every concept that both a role map and the images' labels know."""

    called, made_by = "precision", "headroles retrieve --evaluate"

    model: ModelInfo
    """The model."""
    settings: Mapping[str, Any]
    """The seed; the ablation, where heads were cut."""
    source: str
    """The images' name."""
    count: Count
    """How many there are."""
    k: Size
    """Neighbours that are counted."""
    rows: tuple[PrecisionRow, ...]
    """One a concept, in the labels' order."""
    overlap: float = 0.0
    """Share of the images that the role map was scored on."""
    format: str = "headroles.precision"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the images were read, as `headroles.Reading.to_dict` says it."""

    def to_frame(self) -> pd.DataFrame:
        """One row a concept: its heads, chance, then mean and interval of every way to search, in [0, 1]."""
        import pandas as pd

        rows = []
        for row in self.rows:
            cells: dict[str, Any] = {"concept": row.concept, "heads": row.heads, "chance": row.chance}
            for way in _WAYS:
                found = getattr(row, way)
                low, high = (None, None) if found is None else found.interval
                cells |= {way: None if found is None else found.mean, f"{way}_low": low, f"{way}_high": high}
            rows.append(cells)
        return pd.DataFrame(rows)

    def to_text(self) -> str:
        """A Markdown table, percent with 95% intervals."""
        lines = [
            f"precision@{self.k} on {self.count:,} images ({self.source}), percent, 95% intervals over images",
            "",
            f"| concept | chance | {' | '.join(_WAYS.values())} |",
            "|---" * (2 + len(_WAYS)) + "|",
        ]
        lines += [f"| {' | '.join(cells)} |" for cells in self._cells()]
        above = sum(row.gain.interval[0] > 0 for row in self.rows if row.gain)
        lines += ["", f"gain: Attribute heads (without any: all heads by P) minus whole embedding; above 0 for {above} "
                  f"of {len(self.rows)} concepts"]  # fmt: skip
        if self.overlap:
            lines.append(describe_overlap(self.overlap))
        return "\n".join(lines)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{row.concept} ({row.heads or 'none'})",
                f"{100 * row.chance:.1f}",
                *(str(getattr(row, way) or "-") for way in _WAYS),
            )
            for row in self.rows
        ]

    def __repr__(self) -> str:
        """One line: its intervals would drown a console."""
        gains = ", ".join(f"{row.concept} {100 * row.gain.mean:+.0f}" for row in self.rows if row.gain)
        return f"PrecisionAtK({self.source}, {self.count:,} images, k {self.k}; gain by concept: {gains})"

    def _repr_html_(self) -> str:
        caption = f"precision@{self.k}, percent, {self.count:,} images ({self.source})"
        return html_table(caption, ("concept", "chance", *_WAYS.values()), self._cells())
