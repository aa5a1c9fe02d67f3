"""Findings: what a method has found out about a task beside its answers, head by head or layer by layer. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headroles.files.documents import Document
from headroles.files.ranges import Count

if TYPE_CHECKING:
    import pandas as pd

FORMAT, SCHEMA_VERSION = "headroles.findings", 1


@dataclass(frozen=True)
class Found:
    """What was found of one part of a vision tower."""

    layer: Count
    """0-based; the number of layers stands for what comes after the last."""
    part: str
    """What of the layer: "H3", "attention", or a token such as "CLS"."""
    head: Count | None
    """The head, 0-based; None of another part."""
    values: Mapping[str, float]
    """Name -> number, the same names for all parts."""


@dataclass(frozen=True)
class Findings(Document):
    """What a method has found out: in sentences, and in numbers a part of the vision tower."""

    called: ClassVar[str] = "findings"
    made_by: ClassVar[str] = "headroles adapt"
    file_name: ClassVar[str] = "findings.json"

    method: str
    """The method's name."""
    lines: tuple[str, ...]
    """Sentences for people."""
    parts: tuple[Found, ...] = ()
    """Numbers; none where the sentences say all."""
    drawn: str = ""
    """Which of the parts' numbers is drawn as a map of layers; "" for none."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""
    format: str = FORMAT
    """Marks the file."""

    def __iter__(self) -> Iterator[Found]:
        return iter(self.parts)

    def to_frame(self) -> pd.DataFrame:
        """One row a part: layer, part, head and its numbers."""
        import pandas as pd

        rows = [{"layer": each.layer, "part": each.part, "head": each.head, **each.values} for each in self.parts]
        return pd.DataFrame(rows)
