"""Evaluation: the rows of one or several protocols, zero-shot beside adapted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.adapt.adapter.info import METRICS, TABLE
from headroles.adapt.metrics import Measure, shot_counts, table_heading, table_rows, to_frame, to_json, to_table
from headroles.adapt.results.calibration import calibration_frame
from headroles.adapt.results.tested import (
    TestedImage,
    classes_frame,
    confusion_frame,
    predictions_frame,
    read_predictions,
)
from headroles.files.documents import Document
from headroles.files.json_files import read_json
from headroles.files.whole import replacing_together, write_text
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

TABLES = {
    **{"predictions.csv": predictions_frame, "confusion.csv": confusion_frame, "classes.csv": classes_frame},
    "calibration.csv": calibration_frame,
}
"""File -> what makes it of the tested images."""
PREDICTIONS = "predictions.csv"
"""The table from which a folder's tested images are read again."""
FILES = (METRICS, TABLE, *TABLES)
"""What `Evaluation.write` writes."""
_DERIVED = ("summary", "history", "trainable")
"""What a metrics.json may hold beside the rows."""


@dataclass(frozen=True, repr=False)
class Evaluation(Document, Shown):
    """What an adapter reaches; also what the metrics.json of an adapter, or of a job of several adapters, holds."""

    figures: ClassVar[Mapping[str, str]] = {
        "reliability": "headroles.adapt.results.reliability_plot:reliability_figure",
        "shots": "headroles.adapt.results.shots_plot:shots_figure",
    }
    called, made_by, file_name = "evaluation", "headroles evaluate", METRICS

    rows: tuple[Measure, ...]
    """One a seed, protocol, task and part."""
    left_out: tuple[str, ...] = ()
    """Images that were not tested, as they cannot be read or are trained on too."""
    schema_version: int = 1
    """Version of the file's layout."""
    notes: tuple[str, ...] = ()
    """What is not as the adapter remembers its task, a sentence each."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How texts and pictures were read, and of every task its counts, its split, and the images that were left out."""
    tested: tuple[TestedImage, ...] = field(default=(), compare=False)
    """Every tested image, where that was asked for; not in metrics.json, but in the files of `write`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of `figures` those that there is something to draw for; of none, all: plotting says what lacks."""
        there = {"reliability": bool(self.tested), "shots": len(shot_counts(self.rows)) > 1}
        return tuple(kind for kind in self.figures if there[kind]) or tuple(self.figures)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a metrics.json, by its name or its folder's, with the tested images that `write` wrote beside it."""
        found, place = super().load(path), Path(path)
        predictions = (place if place.is_dir() else place.parent) / PREDICTIONS
        beside = place.is_dir() or place.name == METRICS
        return replace(found, tested=read_predictions(predictions)) if beside and predictions.is_file() else found

    def __iter__(self) -> Iterator[Measure]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Measure:
        return self.rows[number]

    def to_dict(self) -> dict[str, Any]:
        """As in metrics.json: the rows, "summary", their means and 95% intervals, "left_out", "notes" and "reading"."""
        more = {"left_out": list(self.left_out), "notes": list(self.notes), "reading": dict(self.reading)}
        found: dict[str, Any] = json.loads(to_json(self.rows, **{name: each for name, each in more.items() if each}))
        return found

    def write(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """metrics.json and metrics.csv, and, of the tested images, a file for each of `TABLES`.

        All of them or, where writing fails, none; returns them.
        """
        with replacing_together(folder, METRICS) as staging:
            for name, frame in TABLES.items() if self.tested else ():
                write_text(staging / name, frame(self.tested).to_csv(index=False))
            for name in (TABLE, METRICS):
                self.save(staging / name)
        return tuple(Path(folder) / name for name in FILES if self.tested or name not in TABLES)

    @classmethod
    def is_at(cls, path: str | os.PathLike[str]) -> bool:
        """See `Document.is_at`; role maps have no mark either, so an evaluation is told by its rows."""
        return super().is_at(path) and "rows" in read_json(path, cls.called)

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Self:
        """The opposite of `to_dict`; also takes an adapter's metrics.json, whose history is left out."""
        raw = _without(raw, _DERIVED)
        if isinstance(raw, dict) and isinstance(raw.get("rows"), list):
            raw = {**raw, "rows": [_without(row, ("difference",)) for row in raw["rows"]]}
        return super().from_dict(raw, source)

    def to_frame(self) -> pd.DataFrame:
        """The rows without accuracies per class, which are in [0, 1]."""
        return to_frame(self.rows)

    def to_table(self) -> str:
        """Means over seeds in percent, with 95% intervals where there are several seeds, as text."""
        return to_table(self.rows)

    def __repr__(self) -> str:
        return "Evaluation({})".format("; ".join(" ".join(row) for row in table_rows(self.rows)[:3]))

    def _repr_html_(self) -> str:
        return html_table("right answers, percent", table_heading(self.rows), table_rows(self.rows))


def _without(raw: Any, names: tuple[str, ...]) -> Any:
    return {name: value for name, value in raw.items() if name not in names} if isinstance(raw, dict) else raw
