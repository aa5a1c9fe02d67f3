"""Images that come one after another, their number unknown until they end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
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

    def items(self, first: int = 0) -> Iterator[Item]:
        """Numbered cells, from number `first` on."""
        number, cells = first, self.cells(first)
        while self.count is None or number < self.count:
            try:
                cell = next(cells)
            except StopIteration:
                return
            except InputError:
                raise
            except Exception as error:  # The package, the hub's client and the network raise errors of many kinds.
                why = f"{type(error).__name__}: {said(error, 200)}"
                raise InputError(f"images: {self.identity} ends at image {number} ({why}); --resume goes on") from error
            yield number, cell
            number += 1

    def __getitem__(self, item: Item) -> tuple[int, Tensor | str]:
        number, cell = item
        return number, read_cell(cell, self.preprocess)

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes decode and do not read the stream."""
        return {**self.__dict__, "cells": None}

    def name(self, number: int) -> str:
        """The image's place in the stream, from 0."""
        return f"image {number}"

    def fingerprint(self) -> str:
        """A hash of what is read and how much of it."""
        return hashlib.sha256(json.dumps([self.identity, self.count]).encode()).hexdigest()
