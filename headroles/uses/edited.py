"""Edited: what an edit did to a checkpoint's heads, as a record and as a model card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headroles.files.documents import Document
from headroles.files.ranges import Amount, Hash, PartName, Share
from headroles.roles.role_map import ModelInfo
from headroles.shown import html_table

if TYPE_CHECKING:
    import pandas as pd

_CARD = """---
library_name: {library}
tags: [clip, edited]
---

# {base}, {count} of its heads edited

The weights of {base}, changed by headroles {version} in the attention output projections of the {tower} tower and
nowhere else: every other number is the same to the bit. The model runs as fast as before and needs nothing of
headroles:

```python
{load}
```

{table}

A head M = W_V W_O, read out into the embedding, has singular directions, D0 the strongest. `strength` is the Frobenius
norm of what was scaled, before and after.
{kept}

Numbers are stored as {stored}, which rounds the edit by {rounding:.0e} of its size. `edit.json` holds all of this, with
the hashes of the weights before and after; `headroles diff {base} THIS_FOLDER` shows it in the weights.
"""
_LOAD = {
    "transformers": 'from transformers import AutoModel\n\nmodel = AutoModel.from_pretrained("THIS_FOLDER")',
    "open_clip": 'import open_clip\n\nmodel, _ = open_clip.create_model_from_pretrained("local-dir:THIS_FOLDER")',
}  # fmt: skip


@dataclass(frozen=True)
class EditedPart:
    """One head, or some of its directions, and what became of it."""

    name: PartName
    """Such as L6.H5, or L6.H5.D0-2."""
    factor: float
    """What it was multiplied by."""
    concept: str
    """Dominant concept of the head by the role map; "" without one."""
    share: Share
    """Share of the head's squared singular values that it holds."""
    strength: Amount
    """Frobenius norm of its part of the head's map from residual stream to embedding, before."""
    strength_after: Amount
    """The same, after."""


@dataclass(frozen=True)
class Edited(Document):
    """An edited checkpoint: what it came from, where it is, what changed."""

    called, made_by, file_name = "edited", "headroles edit", "edit.json"

    model: ModelInfo
    """What was edited."""
    edited_hash: Hash
    """sha256 over the edited weights, as `model.weights_hash` is over those before."""
    layout: str
    """Of the files: "transformers" or "OpenCLIP"."""
    tower: str
    """"visual" or "text"."""
    parts: tuple[EditedPart, ...]
    """By layer, then head."""
    stored: str
    """Type of the stored numbers."""
    rounding: Amount
    """Largest error that storing them made, over the largest number of the edited columns."""
    kept_mean: str | None = None
    """Images whose mean output was written into biases; None where none was."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for: concept, role map's images and bank, how many images the mean is over."""
    format: str = "headroles.edit"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    def to_frame(self) -> pd.DataFrame:
        """One row a part: name, factor, concept, share of its head, strength before and after."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(part) for part in self.parts])

    def to_text(self) -> str:
        """A table for a terminal."""
        lines = [f"{'part':<16}{'factor':>7}{'share of head':>15}{'strength':>20}  concept"]
        for part in self.parts:
            strength = f"{part.strength:.3g} -> {part.strength_after:.3g}"
            lines.append(f"{part.name:<16}{part.factor:>7g}{part.share:>15.0%}{strength:>20}  {part.concept}".rstrip())
        return "\n".join(lines)

    def to_card(self) -> str:
        """A README.md: what was done, to what, and how to load it."""
        import headroles

        library = "open_clip" if self.layout == "OpenCLIP" else "transformers"
        rows = [
            f"| {part.name} | {part.factor:g} | {part.share:.0%} | {part.strength:.3g} | {part.strength_after:.3g} "
            f"| {part.concept} |"
            for part in self.parts
        ]
        head = ["| part | factor | share of its head | strength | after | concept |", "|---|---|---|---|---|---|"]
        return _CARD.format(
            library=library, base=self.model.name, count=len({part.name.split(".D")[0] for part in self.parts}),
            version=headroles.__version__,
            tower="vision" if self.tower == "visual" else "text", load=_LOAD[library], table="\n".join([*head, *rows]),
            kept=self._say_mean(), stored=self.stored, rounding=self.rounding,
        )  # fmt: skip

    def _say_mean(self) -> str:
        if self.kept_mean:
            return f"What the parts write on average over {self.kept_mean} was kept, in the projections' biases."
        return "Weights know no mean: a factor scales all that a part writes, also what is the same for all images."

    def _repr_html_(self) -> str:
        rows = [
            (part.name, f"{part.factor:g}", f"{part.share:.0%}", f"{part.strength:.3g}", f"{part.strength_after:.3g}",
             part.concept)
            for part in self.parts
        ]  # fmt: skip
        columns = ("part", "factor", "share of its head", "strength", "after", "concept")
        return html_table(f"{self.model.name}, edited", columns, rows)
