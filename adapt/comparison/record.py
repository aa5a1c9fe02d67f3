"""CellRecord: what a cell's folder keeps of it, from its beginning on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headroles.adapt.metrics import Measure, to_frame
from headroles.errors import InputError
from headroles.files.differences import difference, tell_difference
from headroles.files.documents import Document
from headroles.files.ranges import Amount, Count

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "headroles.cell"


@dataclass(frozen=True)
class CellRecord(Document):
    """A cell, begun or done."""

    called, made_by, file_name = "cell", "headroles compare", "cell.json"

    name: str
    """The entry's."""
    method: str
    """Its method."""
    task: str
    """What is trained."""
    seed: Count
    """Of shots and training."""
    trial: Count | None
    """Number of the trial, from 0; None of one that is reported."""
    bed: Mapping[str, Any]
    """What all cells of a task have in common: model, protocol, shots, images."""
    settings: Mapping[str, Any]
    """What its method is: "given" settings, and all of the method's and the training's, "role map"."""
    rows: tuple[Measure, ...] = ()
    """Its tests, without single classes; none before they are done."""
    trained: Count = 0
    """How many numbers are trained."""
    seconds: Amount | None = None
    """Of the training alone; None where that was done before a stop."""
    memory: Count | None = None
    """Most bytes of its process meanwhile (`headroles.adapt.training.cost.Cost`)."""
    why: str = ""
    """Why a trial could not be trained, such as at too high a rate; it is not tried again."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    @property
    def done(self) -> bool:
        """Whether it was trained and tested."""
        return bool(self.rows)

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.done or bool(self.why)

    @property
    def title(self) -> str:
        """As messages name it."""
        return f"{self.name} on {self.task}, seed {self.seed}"

    @property
    def told(self) -> str:
        """What it reached, in one line."""
        own = [row for row in self.rows if row.task == self.task] or list(self.rows)
        found = ", ".join(f"{row.part} {100 * row.adapted:.1f}" for row in own) or f"failed: {self.why}"
        trial = "" if self.trial is None else f", trial {self.trial + 1}"
        seconds = "" if self.seconds is None else f" ({self.seconds:.1f} s)"
        return f"{self.title}{trial}: {found}{seconds}"

    def to_frame(self) -> pd.DataFrame:
        """Its tests."""
        return to_frame(self.rows)

    def check_same(self, now: CellRecord) -> None:
        """InputError where it is another cell than `now`, by any setting."""
        found = difference(dict(self.bed), dict(now.bed)) or difference(dict(self.settings), dict(now.settings))
        if found:
            raise InputError(
                f"compare: {self.title}, is there with {tell_difference(*found)}; give another --output, or "
                "--overwrite"
            )


def read_record(folder: Path) -> CellRecord | None:
    """What is kept in a cell's folder; None where it was not begun."""
    path = folder / CellRecord.file_name
    return CellRecord.load(path) if path.is_file() else None


def check_alike(records: Iterable[CellRecord]) -> None:
    """InputError where reported cells cannot stand in one table.

    All have one model and as many shots; those of a task were read and tested alike, those of a method have one set of
    given settings.
    """
    first: dict[tuple[str, str], tuple[CellRecord, Any]] = {}
    for record in records:
        if record.trial is not None:
            continue
        shared = {name: record.bed.get(name) for name in ("model", "shots")}
        kinds = {("", ""): shared, ("task", record.task): dict(record.bed)}
        kinds[("method", record.name)] = record.settings["given"]
        for key, value in kinds.items():
            other, old = first.setdefault(key, (record, value))
            if found := difference(old, value):
                raise InputError(
                    f"compare: {other.title}, was made with {tell_difference(*found)} for {record.title}; they cannot "
                    "stand in one table: give another --output"
                )
