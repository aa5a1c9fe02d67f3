"""Store: the folder of a comparison. Cells lie in folders of their own; the tables are made anew from all of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.adapt.comparison.bed import ROLE_MAP
from headroles.adapt.comparison.comparison import Comparison
from headroles.adapt.comparison.entries import FROZEN
from headroles.adapt.comparison.grid import CELLS, TRIALS, Cell
from headroles.adapt.comparison.record import CellRecord, check_alike, read_record
from headroles.adapt.comparison.run import BUSY
from headroles.adapt.comparison.trials import read_trials
from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.files.places import check_free, check_writable
from headroles.files.whole import replacing, write_text

if TYPE_CHECKING:
    import pandas as pd

RESULTS, PARQUET, COSTS, TUNING = "results.csv", "results.parquet", "costs.csv", "tuning.csv"
"""Rows without what depends on the machine, in two forms; seconds and memory; trials."""
FILES = (RESULTS, PARQUET, COSTS, TUNING, ROLE_MAP, Comparison.file_name)
"""What is written beside the cells."""
_PAUSE = 0.05
"""Seconds before the folder is asked for again."""


@dataclass(frozen=True)
class Store:
    """A comparison's folder."""

    folder: Path
    """Where it is, or will be."""

    def check(self) -> None:
        """InputError where the folder cannot be written to, or holds files of these names that are no comparison's."""
        check_writable(self.folder)
        if not any((self.folder / name).is_dir() for name in (CELLS, TRIALS)):
            check_free(*(self.folder / name for name in FILES))

    def check_reference(self, name: str, methods: Iterable[str]) -> None:
        """InputError for a reference that is none of the methods to come, nor of those that are here."""
        known = sorted({FROZEN, *methods, *(path.name for path in (self.folder / CELLS).glob("*"))})
        if name not in known:
            raise InputError(f"reference must be one of {', '.join(known)}, got {name!r}")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Alone at work on what lies beside the cells; whoever is there is waited for."""
        with ExitStack() as stack:
            while not self._enter(stack):
                time.sleep(_PAUSE)
            yield

    def _enter(self, stack: ExitStack) -> bool:
        try:
            stack.enter_context(locked(self.folder, "comparison"))
        except InputError as error:
            if error.page != BUSY:
                raise
            return False
        return True

    def record(self, cell: Cell) -> CellRecord | None:
        """What there is of a cell."""
        return read_record(self.folder / cell.place)

    def records(self, without: Iterable[Cell] = ()) -> tuple[CellRecord, ...]:
        """Of all cells and trials here, whoever made them, but those of the cells `without`."""
        places = {path for kind in (CELLS, TRIALS) for path in (self.folder / kind).glob(f"*/*/*/{_FILE}")}
        places -= {self.folder / cell.place / _FILE for cell in without}
        return tuple(CellRecord.load(path) for path in sorted(places))

    def remove(self, cells: Iterable[Cell]) -> None:
        """Take away what there is of these cells; InputError where a process is at work on one."""
        for cell in cells:
            folder = self.folder / cell.place
            if folder.is_dir():
                with locked(folder, "adapter"):
                    (folder / _FILE).unlink(missing_ok=True)
                shutil.rmtree(folder)

    def write(self, failed: Iterable[str] = (), notes: Iterable[str] = ()) -> Comparison:
        """Put all cells that are done, by whoever made them, together; the files become those of the whole."""
        with self.turn():
            found = self.read(failed, notes)
            self._write(RESULTS, found.to_frame())
            self._write(COSTS, _frame(found.costs))
            if found.trials:
                self._write(TUNING, _frame(found.trials))
            if find_spec("pyarrow"):
                with replacing(self.folder / PARQUET) as partial:
                    found.to_frame().to_parquet(partial, index=False)
            found.save(self.folder / Comparison.file_name)
        return found

    def read(self, failed: Iterable[str] = (), notes: Iterable[str] = ()) -> Comparison:
        """The comparison of what is done, without writing anything."""
        if not (self.folder / CELLS).is_dir() and not (self.folder / TRIALS).is_dir():
            raise InputError(f"compare: {self.folder} holds no comparison (no {CELLS}/); start one with --methods")
        records = self.records()
        check_alike(records)
        more = {"failed": tuple(failed), "notes": (*notes, *_say_begun(records))}
        return Comparison.of_cells(records, read_trials(records), **more)

    def _write(self, name: str, frame: pd.DataFrame) -> None:
        write_text(self.folder / name, frame.to_csv(index=False, lineterminator="\n"))


_FILE = CellRecord.file_name


def _frame(entries: Iterable[object]) -> pd.DataFrame:
    """One row a dataclass, a column a field; settings as --set has them."""
    import pandas as pd

    rows = [{**vars(each)} for each in entries]
    for row in rows:
        if "settings" in row:
            row["settings"] = " ".join(f"{name}={value}" for name, value in row["settings"].items())
    return pd.DataFrame(rows)


def _say_begun(records: Iterable[CellRecord]) -> list[str]:
    begun = sum(not each.over and each.trial is None for each in records)
    return [f"{begun} cells are begun and not done"] if begun else []
