"""Predictions: what an adapter sees in images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headroles.files.documents import Document
from headroles.files.ranges import Share
from headroles.shown import html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Prediction:
    """What an adapter sees in one image."""

    image: str
    """Path of the file, or the picture's number, from 1."""
    classes: tuple[str, ...]
    """Class names, likeliest first."""
    probabilities: tuple[Share, ...]
    """Softmax over the given classes, in the same order; they sum to 1."""

    @property
    def shares(self) -> dict[str, float]:
        """Class -> probability, likeliest first."""
        return dict(zip(self.classes, self.probabilities, strict=True))

    def best(self, top: int = 3) -> str:
        """The likeliest classes and their probabilities, as "cat 81.2%, dog 12.0%"."""
        return ", ".join(f"{name} {100 * share:.1f}%" for name, share in list(self.shares.items())[:top])


@dataclass(frozen=True, repr=False)
class Predictions(Document):
    """What an adapter sees in several images, in their order."""

    called, made_by, file_name = "predictions", "headroles.adapt.predict", ""

    predictions: tuple[Prediction, ...]
    """One an image."""
    format: str = "headroles.predictions"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How the images and the classes' texts were read, as `headroles.Reading.to_dict` says it."""

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, number: int) -> Prediction:
        return self.predictions[number]

    def to_frame(self) -> pd.DataFrame:
        """One row an image: its likeliest class, that one's probability, and a column p_NAME a class."""
        import pandas as pd

        names = sorted({name for each in self.predictions for name in each.classes})
        rows = [
            (each.image, each.classes[0], each.probabilities[0], *map(each.shares.get, names))
            for each in self.predictions
        ]
        return pd.DataFrame(rows, columns=["image", "class", "probability", *(f"p_{name}" for name in names)])

    def __repr__(self) -> str:
        first = "".join(f"; {each.image}: {each.best(1)}" for each in self.predictions[:1])
        return f"Predictions({len(self.predictions)} images{first})"

    def _repr_html_(self) -> str:
        rows = [(each.image, each.best()) for each in self.predictions]
        return html_table(f"{len(rows)} images", ("image", "likeliest classes"), rows)
