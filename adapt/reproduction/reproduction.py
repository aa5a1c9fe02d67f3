"""Reproduction: the published tables beside ours, row by row."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headroles.adapt.metrics import COLUMNS
from headroles.adapt.reproduction.rows import ReproducedRow, Result
from headroles.files.documents import Document
from headroles.shown import html_table

if TYPE_CHECKING:
    import pandas as pd

FILE, TABLE, RUNS = "reproduction.json", "reproduction.csv", "runs.csv"
"""What `headroles reproduce` writes beside the adapters."""
_OURS = ("table", "method", "data set", "shots", "part", "ours")
_BESIDE = ("published", "difference", "of")


@dataclass(frozen=True, repr=False)
class Reproduction(Document):
    """Ours beside what is published, on CoOp's benchmark."""

    called, made_by, file_name = "reproduction", "headroles reproduce", FILE

    rows: tuple[ReproducedRow, ...]
    """Table by table."""
    model: str
    """The CLIP, as `headroles.load` takes it."""
    seeds: tuple[int, ...]
    """Seeds of the adapters."""
    published: bool
    """Whether published figures stand beside ours: only where the model is theirs."""
    notes: tuple[str, ...] = ()
    """What lacks, and why, a sentence each."""
    format: str = "headroles.reproduction"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    def to_frame(self) -> pd.DataFrame:
        """One row a table, method, data set, shots and part; accuracies in percent."""
        import pandas as pd

        names = [field.name for field in dataclasses.fields(ReproducedRow)]
        return pd.DataFrame([[getattr(row, name) for name in names] for row in self.rows], columns=names)

    def to_table(self, markdown: bool = False) -> str:
        """The averages, and the data sets that have published figures, in percent; all others are in `to_frame`."""
        cells = [self._heading, *self._cells()]
        if markdown:
            rule = ["---:" if number > 4 else "---" for number in range(len(self._heading))]
            return "\n".join("| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:]))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if 5 <= column <= 7 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        )

    @property
    def _heading(self) -> tuple[str, ...]:
        return (*_OURS, *(_BESIDE if self.published else ()))

    def _cells(self) -> list[tuple[str, ...]]:
        shown = [
            row for row in self.rows if row.data_set.startswith("mean") or row.table in ("zero-shot", "domain-shift")
        ]
        return [_cells(row)[: len(self._heading)] for row in shown]

    def _repr_html_(self) -> str:
        return html_table("percent of right answers", self._heading, self._cells())

    def __repr__(self) -> str:
        return f"Reproduction({self.model}, seeds {', '.join(map(str, self.seeds))}, {len(self.rows)} rows)"


def _cells(row: ReproducedRow) -> tuple[str, ...]:
    over = f"{row.data_set} of {row.data_sets}/{row.of}" if 0 < row.data_sets < row.of else row.data_set
    around = "" if row.low is None or row.high is None else f" ±{(row.high - row.low) / 2:.2f}"
    ours = "" if row.ours is None else f"{row.ours:.2f}{around}"
    published = "" if row.published is None else f"{row.published:.2f}"
    difference = "" if row.difference is None else f"{row.difference:+.2f}"
    whose = "" if row.published is None else row.source + (", run again by others" if row.rerun else "")
    return row.table, row.title, over, str(row.shots), row.part, ours, published, difference, whose


def write_runs(results: Sequence[Result]) -> str:
    """runs.csv: a row a method, data set trained on, shots, seed and tested part; accuracies in [0, 1]."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "method", "trained_on", *COLUMNS))
    for result in results:
        training = result.training
        place = (training.table, training.method, training.data_set)
        writer.writerows((*place, *(getattr(row, name) for name in COLUMNS)) for row in result.measures)
    return text.getvalue()
