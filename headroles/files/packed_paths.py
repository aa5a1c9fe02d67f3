"""Millions of paths in little memory, which worker processes share."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


class PackedNames(Sequence[str]):
    """Names as one string of bytes: a Python object each would cost more, and be copied by every fork."""

    def __init__(self, names: Iterable[str]) -> None:
        whole, ends = bytearray(), array("q")
        for name in names:
            whole += os.fsencode(name)
            ends.append(len(whole))
        self._whole = bytes(whole)
        self._ends = np.frombuffer(ends, dtype=np.int64) if ends else np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = self._ends[number - 1] if number else 0
        return os.fsdecode(self._whole[start : self._ends[number]])

    def digest(self) -> str:
        """sha256 of all names in order."""
        return hashlib.sha256(self._whole + self._ends.tobytes()).hexdigest()


class PackedPaths(Sequence[Path]):
    """Paths below a folder, kept as `PackedNames`; absolute names stay what they are."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder, self.names = folder, names if isinstance(names, PackedNames) else PackedNames(names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Path:
        return self.folder / self.names[number]
