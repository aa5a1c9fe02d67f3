"""ModelDiff: which heads and directions of a model a fine-tuning changed, as numbers, a table and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headroles.files.documents import Document
from headroles.files.ranges import Amount, Count, Hash, HeadName
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-7
"""A head whose products differ by less has the same weights in another inner basis."""


@dataclass(frozen=True)
class DirectionShift:
    """One of a head's leading directions in the base model, and what the tuned model makes of what it reads."""

    number: Count
    """0 is the strongest."""
    sigma: Amount
    """Its singular value in the base model."""
    sigma_after: Amount
    """How strongly the tuned model writes what this direction reads."""
    turned: float | None
    """Angle between what was and what is written then, in degrees; None where under a thousandth of it is left."""


@dataclass(frozen=True)
class HeadShift:
    """One head in both models; changes are Frobenius norms of differences over those of the base model."""

    name: HeadName
    """`L7.H3`: layer 7, head 3, both 0-based."""
    layer: Count
    head: Count
    change: Amount
    """Of M: what it writes into the embedding of what it reads."""
    writes: Amount
    """Of W_V W_O: the same in the residual stream, before the last LayerNorm and the projection."""
    reads: Amount
    """Of Q K': where it looks."""
    rotation: Amount | None
    """Largest principal angle between the spans of its leading written directions, in degrees; None where one of both
    models has fewer."""
    read_rotation: Amount | None
    """The same of those that it reads."""
    directions: tuple[DirectionShift, ...]
    """The leading ones, strongest first."""


@dataclass(frozen=True)
class ModelDiff(Document, Shown):
    """What differs between two models of one shape."""

    called, made_by, file_name = "model diff", "headroles diff --json", "model_diff.json"
    figures: ClassVar[Mapping[str, str]] = {"map": "headroles.figures.model_diff:model_diff_figure"}

    names: tuple[str, str]
    """Base and tuned, as they were loaded."""
    hashes: tuple[Hash, Hash]
    """sha256 over their weights."""
    tower: str
    """"visual" or "text"."""
    heads: tuple[HeadShift, ...]
    """Largest `change` first."""
    tensors: Mapping[str, float]
    """Every tensor of the whole model that differs, and its relative change; largest first."""
    compared: Count
    """How many tensors there are."""
    format: str = "headroles.model-diff"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    def to_frame(self) -> pd.DataFrame:
        """One row a head, largest change first: changes, rotations, and of each leading direction what became of it."""
        import pandas as pd

        rows = []
        for head in self.heads:
            row = {name: value for name, value in dataclasses.asdict(head).items() if name != "directions"}
            for each in head.directions:
                row |= {f"{name}_{each.number}": getattr(each, name) for name in ("sigma", "sigma_after", "turned")}
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def changed(self) -> tuple[HeadShift, ...]:
        """The heads that differ in what they write or in where they look."""
        return tuple(head for head in self.heads if max(head.change, head.writes, head.reads) > _ROUNDING)

    def to_text(self, top: int = 20) -> str:
        """The heads that changed most, for a terminal."""
        lines = [f"base:  {self.names[0]}", f"tuned: {self.names[1]}"]
        lines.append(f"{len(self.tensors)} of {self.compared} tensors differ{self._most_changed()}")
        lines.append(f"{len(self.changed)} of {len(self.heads)} heads of the {self.tower} tower changed")
        if not self.changed:
            return "\n".join(lines)
        lines.append(f"{'head':<9}{'M':>8}{'writes':>9}{'reads':>8}{'turned':>9}  leading directions: sigma, turned by")
        lines += [_line(head) for head in self.changed[:top]]
        more = len(self.changed) - top
        lines += [f"and {more} more; --top {len(self.changed)} or --json has all"] if more > 0 else []
        return "\n".join(lines)

    def _most_changed(self) -> str:
        most = [f"{name} ({change:.2g})" for name, change in list(self.tensors.items())[:3]]
        return f", most {', '.join(most)}" if most else ""

    def __repr__(self) -> str:
        return f"ModelDiff({len(self.changed)} of {len(self.heads)} heads of the {self.tower} tower changed)"

    def _repr_html_(self) -> str:
        rows = [
            (head.name, *(f"{value:.3g}" for value in (head.change, head.writes, head.reads)),
             "" if head.rotation is None else f"{head.rotation:.1f}")
            for head in self.changed
        ]  # fmt: skip
        columns = ("head", "M", "writes", "reads", "turned by (degrees)")
        return html_table(f"{self.names[0]} -> {self.names[1]}: {len(self.changed)} heads changed", columns, rows)


def _line(head: HeadShift) -> str:
    shown = [
        f"D{each.number} {each.sigma:.3g}->{each.sigma_after:.3g}"
        + ("" if each.turned is None else f", {each.turned:.0f}°")
        for each in head.directions
    ]
    angle = "-" if head.rotation is None else f"{head.rotation:.1f}°"
    numbers = f"{head.change:>8.3g}{head.writes:>9.3g}{head.reads:>8.3g}{angle:>9}"
    return f"{head.name:<9}{numbers}  {'; '.join(shown)}"
