"""Millions of paths in little memory, which worker processes share."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np

T = TypeVar("T")


class Computed(Sequence[T]):
    """A sequence whose items are made when they are asked for; a slice is a list of them."""

    @overload
    def __getitem__(self, number: int) -> T: ...

    @overload
    def __getitem__(self, number: slice) -> list[T]: ...

    def __getitem__(self, number: int | slice) -> T | list[T]:
        if isinstance(number, slice):
            return [self.item(each) for each in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.item(number)

    def item(self, number: int) -> T:
        """The item of a number from 0 to the length."""
        raise NotImplementedError


class PackedNames(Computed[str]):
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

    def item(self, number: int) -> str:
        """The name itself."""
        start = self._ends[number - 1] if number else 0
        return os.fsdecode(self._whole[start : self._ends[number]])

    def digest(self) -> str:
        """sha256 of all names in order."""
        return hashlib.sha256(self._whole + self._ends.tobytes()).hexdigest()


class PackedPaths(Computed[Path]):
    """Paths below a folder, kept as `PackedNames`; absolute names stay what they are."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder, self.names = folder, names if isinstance(names, PackedNames) else PackedNames(names)

    def __len__(self) -> int:
        return len(self.names)

    def item(self, number: int) -> Path:
        """The folder and the name."""
        return self.folder / self.names[number]
