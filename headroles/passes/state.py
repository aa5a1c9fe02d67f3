"""What a pass over images has seen, and the file that it goes on from after a stop."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import UInt64
from numpy import ndarray
from torch import Tensor

from headroles.errors import InputError
from headroles.files.differences import DECIDED_BY, difference, is_hash, show
from headroles.files.json_files import dump_json
from headroles.files.sketch import Sketch
from headroles.files.tensors import read_hashed, write_hashed

LAYOUT = 2
"""Of what a state says was seen; a pass that was begun with another one cannot go on."""
FOLDER = "unfinished"
"""Below the output folder, from the first save of a pass until its results are written."""


@dataclass(frozen=True)
class Seen:
    """What went into the sums of a pass, or of a part of one."""

    units: int = 0
    """Units that are done."""
    read: int = 0
    """Images that went in."""
    broken: tuple[tuple[int, str], ...] = ()
    """Number and name of the images that could not be read, in order."""
    total: int | None = None
    """How many images the source has; None where its end was not reached."""
    sketch: str = ""
    """Of the images that went in, as `headroles.files.sketch` keeps it."""

    @property
    def broken_names(self) -> tuple[str, ...]:
        """Names of the images that could not be read."""
        return tuple(name for _, name in self.broken)

    def add(self, fingerprints: UInt64[ndarray, "image"], broken: tuple[tuple[int, str], ...]) -> Seen:
        """After one unit more, with images of these fingerprints."""
        sketch = Sketch(self.sketch).add(fingerprints).text
        return Seen(self.units + 1, self.read + len(fingerprints), self.broken + broken, sketch=sketch)

    def end(self, total: int | None) -> Seen:
        """After the last unit, when the source's size is known."""
        return dataclasses.replace(self, total=total)

    @classmethod
    def merge(cls, parts: Sequence[Seen]) -> Seen:
        """Of disjoint parts of one source, together."""
        broken = sorted(each for part in parts for each in part.broken)
        totals = [part.total for part in parts if part.total is not None]
        return cls(
            sum(part.units for part in parts),
            sum(part.read for part in parts),
            tuple(broken),
            max(totals, default=None),
            Sketch.merge(Sketch(part.sketch) for part in parts).text,
        )


def check_enough(seen: Seen) -> None:
    """InputError where too few images were readable."""
    if seen.read < 2:
        broken = f" ({seen.broken_names[0]} and {len(seen.broken) - 1} more are broken)" if seen.broken else ""
        raise InputError(f"images: {seen.read} readable of {seen.total}{broken}; a covariance needs at least two")


class PassState:
    """The file of one process's part of a pass. It appears whole: a kill leaves the old one or the new one."""

    def __init__(self, output: Path, name: str = "pass", process: int = 0, processes: int = 1) -> None:
        self.folder, self.name = output / FOLDER, name
        self.path = self.folder / f"{name}-{process + 1}-of-{processes}.safetensors"

    def files(self) -> list[Path]:
        """The states of all processes, of any number of them."""
        return sorted(self.folder.glob(f"{self.name}-*-of-*.safetensors"))

    def save(self, sums: Mapping[str, Tensor], seen: Seen, settings: Mapping[str, Any]) -> None:
        """Replace the state in one step."""
        note = {"seen": dump_json(dataclasses.asdict(seen)), "settings": dump_json(settings)}
        write_hashed(self.path, sums, note)

    def load(self, sums: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Seen | None:
        """Put the saved sums in place and say what went into them; None where nothing is saved.

        InputError where the file is damaged, or of a pass with other settings.
        """
        for path in self.files():
            begun, now = (each.stem.rpartition("-")[2] for each in (path, self.path))
            if begun != now:
                raise InputError(f"resume: the pass was begun with {begun} processes, now {now}; start {begun} again")
        if not self.path.is_file():
            return None
        tensors, texts = read_hashed(self.path, "resume", "start anew with --overwrite")
        note = {name: json.loads(text) for name, text in texts.items()}  # The hash says that they are as written.
        _compare(note["settings"], json.loads(dump_json(settings)), self.folder.parent)
        for name, tensor in sums.items():
            tensor.copy_(tensors[name])
        seen = note["seen"]
        return Seen(**{**seen, "broken": tuple((number, name) for number, name in seen["broken"])})

    def remove(self) -> None:
        """Delete the states of all processes, and the folder if nothing else is in it."""
        for path in self.files():
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], output: Path) -> None:
    found = difference(dict(old), dict(new))
    if found:
        name, before, now = found
        decided = DECIDED_BY.get(name)
        values = (decided or "") if is_hash(before) or is_hash(now) else f"{show(before)}, now {show(now)}"
        raise InputError(
            f"resume: {output} was begun with other {name}{f' ({values})' if values else ''}; resume with what it was "
            "begun with, or start anew with --overwrite or another --output"
        )
