"""Retrieved: what a search found, by some heads and by the whole embedding, as numbers and as a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.files.documents import Document
from headroles.files.ranges import Count
from headroles.roles.role_map import ModelInfo
from headroles.shown import Shown, html_table
from headroles.uses.search import Neighbour

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Retrieved(Document, Shown):
    """The neighbours of a query, best first."""

    called, made_by = "retrieved", "headroles retrieve"
    figures: ClassVar[Mapping[str, str]] = {"sheet": "headroles.figures.retrieve:contact_sheet"}

    model: ModelInfo
    """The model."""
    settings: Mapping[str, Any]
    """The ablation, where heads were cut."""
    by: str
    """The heads that searched, in words."""
    query: str
    """Name of the query."""
    by_heads: tuple[Neighbour, ...]
    """By these heads."""
    by_embedding: tuple[Neighbour, ...]
    """By the whole embedding."""
    indexed: Count
    """Images that were searched; the heads' parts are centred over them."""
    folder: str | None
    """Where the images lie; None where they lie in no folder."""
    query_picture: str | None
    """Picture of a query from outside (`headroles.images.pictures`)."""
    pictures: Mapping[str, str]
    """Name -> picture, of images that lie in no folder."""
    format: str = "headroles.retrieved"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the images were read, as `headroles.Reading.to_dict` says it; empty where an index stood for them."""

    def to_frame(self) -> pd.DataFrame:
        """One row a neighbour: by what it was found, its rank from 1, its name, its cosine with the query."""
        import pandas as pd

        sides = {self.by: self.by_heads, "whole embedding": self.by_embedding}
        rows = [
            {"by": by, "rank": rank, "name": each.name, "score": each.score}
            for by, found in sides.items()
            for rank, each in enumerate(found, start=1)
        ]
        return pd.DataFrame(rows, columns=["by", "rank", "name", "score"])

    def to_text(self) -> str:
        """Both lists side by side, for a terminal."""
        lines = [f"{self.query}, by {self.by} (parts centred over {self.indexed:,} images) | by the whole embedding"]
        for ours, whole in zip(self.by_heads, self.by_embedding, strict=True):
            lines.append(f"  {ours.score:6.3f}  {ours.name:<40} {whole.score:6.3f}  {whole.name}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """One line: pictures would drown a console."""
        first = ", ".join(each.name for each in self.by_heads[:3])
        return f"Retrieved({self.query} among {self.indexed:,} images, by {self.by}: {first}, ...)"

    def _repr_html_(self) -> str:
        columns = (f"by {self.by}", "cosine", "by the whole embedding", "cosine")
        rows = [
            (ours.name, f"{ours.score:.3f}", whole.name, f"{whole.score:.3f}")
            for ours, whole in zip(self.by_heads, self.by_embedding, strict=True)
        ]
        return html_table(f"{self.query}, {self.indexed:,} images", columns, rows)
