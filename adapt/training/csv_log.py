"""CsvLog: a training's numbers in log.csv, one a line, which is also what a resumed training takes up again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from accelerate.tracking import GeneralTracker

from headroles.files.whole import write_text

CSV = "log.csv"
"""Its name in a folder of logs."""
Line = tuple[int, str, float]
"""Step, name, value."""
_HEAD = ("step", "name", "value")


class CsvLog(GeneralTracker):
    """A tracker of Accelerate's kind; every line is on disk as soon as it is logged."""

    name = "csv"
    requires_logging_directory = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / CSV

    @property
    def tracker(self) -> TextIO:
        """The open file."""
        return self._file

    def start(self) -> None:
        """Open the file; what is in it stays until `keep`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8", newline="")

    def keep(self, lines: Iterable[Line]) -> None:
        """Begin with these lines, instead of what was in the file; a kill leaves the one or the other."""
        self._file.close()
        write_text(self.path, _write([_HEAD, *lines]))
        self.start()

    def log(self, values: Mapping[str, float], step: int | None = None, **more: Any) -> None:
        """A line for each value."""
        self._file.write(_write((step, name, value) for name, value in values.items()))
        self._file.flush()

    def finish(self) -> None:
        """Close it."""
        self._file.close()


def _write(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def read_lines(path: Path) -> list[Line]:
    """The whole lines of a log.csv; none where there is no file. A line that a kill has cut is left out."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1].splitlines()[1:]
    return [(int(step), name, float(value)) for step, name, value in csv.reader(whole)]
