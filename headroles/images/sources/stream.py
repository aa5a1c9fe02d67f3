"""Images that come one after another, their number unknown until they end."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json
from headroles.images.images import Preprocess, undecided
from headroles.images.sources.cells import read_cell

Item = tuple[int, Any]
"""An image's number and its cell, not decoded."""


@dataclass
class StreamedImages(Dataset):
    """Cells in the order of a stream. One process reads them; they are decoded wherever `decode` is called."""

    identity: str
    """What it is read from."""
    cells: Callable[[int], Iterator[Any]] = field(repr=False)
    """The cells from the given number on."""
    preprocess: Preprocess = undecided
    count: int | None = None
    """Stop after so many."""
    stated: int | None = None
    """How many cells there are, where the source says so."""
    labels: Callable[[str], Iterator[str]] | None = field(default=None, repr=False)
    """Every cell's entry in another column, read in a pass of its own."""

    @property
    def total(self) -> int | None:
        """How many images are read at most, known before the first is; None where nobody says so."""
        known = [each for each in (self.count, self.stated) if each is not None]
        return min(known, default=None)

    def group_names(self, by: str) -> Iterator[str]:
        """Every image's entry in a column; InputError where there is no such column, or the entry is empty."""
        if self.labels is None:
            raise InputError(f"groups: {self.identity} has no column {by!r} that can be read beforehand; leave it out")
        return self._read(self.labels(by), 0)

    def items(self, first: int = 0) -> Iterator[Item]:
        """Numbered cells, from number `first` on."""
        left = None if self.count is None else max(0, self.count - first)
        yield from enumerate(islice(self._read(self.cells(first), first), left), first)

    def _read(self, cells: Iterator[Any], first: int) -> Iterator[Any]:
        for number in itertools.count(first):
            try:
                cell = next(cells)
            except StopIteration:
                return
            except InputError:
                raise
            except Exception as error:  # The package, the hub's client and the network raise errors of many kinds.
                why = f"{type(error).__name__}: {said(error, 200)}"
                raise InputError(f"images: {self.identity} ends at image {number} ({why}); --resume goes on") from error
            yield cell

    def __getitem__(self, item: Item) -> tuple[int, Tensor | str]:
        number, cell = item
        return number, read_cell(cell, self.preprocess)

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes decode and do not read the stream."""
        return {**self.__dict__, "cells": None, "labels": None}

    def name(self, number: int) -> str:
        """The image's place in the stream, from 0."""
        return f"image {number}"

    def fingerprint(self) -> str:
        """A hash of what is read and how much of it."""
        return hashlib.sha256(dump_json([self.identity, self.count]).encode()).hexdigest()
