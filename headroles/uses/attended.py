"""Attended: where some heads look on some images, as plain numbers and as pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import PartName, Role, Share
from headroles.roles.role_map import ModelInfo
from headroles.shown import Shown, html_table
from headroles.uses.masks import HeadScore

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = ("contribution", "attention")
"""What is known of every patch."""

Grid = tuple[tuple[float, ...], ...]
"""Rows of patches, top to bottom."""


@dataclass(frozen=True)
class HeadView:
    """Where one head looks on one image."""

    head: PartName
    """Such as L7.H3, or L7.H3.D0-2 for directions of it alone."""
    role: Role
    """By the role map."""
    concept: str
    """Dominant concept by the role map; "" where none leads."""
    text: str | None
    """The text along which contributions are measured; None, as all of these, where attention alone was asked for."""
    contribution: float | None
    """The head's part of the cosine of image and text: the sum over all tokens."""
    contribution_of_cls: float | None
    """What of it CLS's own value adds."""
    contribution_of_patches: Grid | None
    """What every patch adds."""
    attention_to_cls: Share
    """Softmax weight of CLS's query on CLS itself."""
    attention_to_patches: Grid
    """The same on every patch."""
    cosine: float | None
    """Cosine of the whole embedding with the text."""
    contribution_of_registers: float | None = None
    """What registers add; None for a model that has none."""
    attention_to_registers: float | None = None
    """The weight on them."""

    def grid(self, quantity: str) -> Float[ndarray, "row column"]:
        """ "contribution" or "attention" of the patches, as they lie on the picture."""
        if quantity not in QUANTITIES:
            raise InputError(f"quantity must be one of {', '.join(QUANTITIES)}, got {quantity!r}")
        if quantity == "contribution" and self.contribution_of_patches is None:
            raise InputError(f"quantity: {self.head} was looked at without a text; take attention")
        return np.array(self.contribution_of_patches if quantity == "contribution" else self.attention_to_patches)

    def rest(self, quantity: str) -> float:
        """The same of all tokens that are no patch: CLS, and registers."""
        if quantity == "contribution":
            return (self.contribution_of_cls or 0.0) + (self.contribution_of_registers or 0.0)
        return self.attention_to_cls + (self.attention_to_registers or 0.0)


@dataclass(frozen=True)
class ImageView:
    """One image, and where every head looks on it."""

    image: str
    """Its name."""
    picture: str
    """What the model saw, as PNG in base64 (`headroles.images.pictures`)."""
    heads: tuple[HeadView, ...]
    """In the order that was asked for."""


@dataclass(frozen=True)
class Attended(Document, Shown):
    """Where heads look: exact parts of their contributions, patch by patch (TextSpan, arXiv 2310.05916, eq. 5)."""

    called, made_by = "attended", "headroles attend"
    figures: ClassVar[Mapping[str, str]] = {
        "contribution": "headroles.figures.attend:attend_figure",
        "attention": "headroles.figures.attend:attention_figure",
    }

    model: ModelInfo
    """The model."""
    settings: Mapping[str, Any]
    """The ablation, where heads were cut."""
    images: tuple[ImageView, ...]
    """In the order that was asked for."""
    format: str = "headroles.attended"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the images were read, as `headroles.Reading.to_dict` says it."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Images of folders that cannot be read, and why."""
    scores: tuple[HeadScore, ...] = ()
    """How well every head's maps find what masks show; none without masks."""

    def to_rows(self) -> list[dict[str, Any]]:
        """One dict an image and head, grids included, registers where there are any: what `--json` prints."""
        rows = [{"image": view.image, **dataclasses.asdict(head)} for view in self.images for head in view.heads]
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    def to_frame(self) -> pd.DataFrame:
        """One row an image and head: all but the grids."""
        import pandas as pd

        return pd.DataFrame(self.to_rows()).drop(
            columns=["contribution_of_patches", "attention_to_patches"], errors="ignore"
        )

    def __repr__(self) -> str:
        """One line: grids would drown a console."""
        heads = ", ".join(head.head for head in self.images[0].heads) if self.images else "no head"
        return f"Attended({self.model.name}, {len(self.images)} images: {heads})"

    def _repr_html_(self) -> str:
        columns = ("image", "head", "concept", "text", "contribution", "cosine")
        rows = [
            (view.image, head.head, head.concept, head.text or "", _signed(head.contribution), _signed(head.cosine))
            for view in self.images
            for head in view.heads
        ]
        return html_table(f"{self.model.name}: what heads add to the cosine with a text", columns, rows)


def _signed(number: float | None) -> str:
    return "" if number is None else f"{number:+.4f}"
