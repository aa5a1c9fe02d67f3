"""What Pillow, transformers and this package remark on single images: counted, and said in one line at the end."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from torch.utils.data import Dataset

from headroles.images.deep import ImageNote


@dataclass
class Notes:
    """Remarks, and how often each was made."""

    counts: Counter[str] = field(default_factory=Counter)
    """Remark -> on how many images."""

    def describe(self) -> str:
        """All of them in one line; the commonest in words."""
        (first, times), *others = self.counts.most_common()
        more = f"; and {len(others)} other kinds, {sum(count for _, count in others)} times" if others else ""
        return f"{self.counts.total()} remarks on images: {first} ({times} times){more}"


class Remarked(Dataset):
    """Images with what was remarked on each while it was decoded: ((number, pixels), remarks)."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Any) -> tuple[Any, list[str]]:
        with caught() as remarks:
            found = self.images[item]
        return found, remarks


@contextmanager
def caught() -> Iterator[list[str]]:
    """Collects Python's warnings and transformers' log meanwhile; nothing of them is printed."""
    remarks: list[str] = []
    log, handler = logging.getLogger("transformers"), _Listener(remarks)
    before, through = log.handlers, log.propagate
    log.handlers, log.propagate = [handler], False
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            yield remarks
    finally:
        log.handlers, log.propagate = before, through
    remarks.extend(" ".join(str(each.message).split()) for each in found)


@contextmanager
def collecting() -> Iterator[Notes]:
    """Collects the remarks of all passes meanwhile; without it each pass warns of its own at its end."""
    notes = Notes()
    token = _open.set(notes)
    try:
        yield notes
    finally:
        _open.reset(token)


def tell(remarks: Iterable[str]) -> None:
    """Hand the remarks of a pass, which is over, to whoever collects them; else warn once."""
    counts = Counter(remarks)
    if not counts:
        return
    notes = _open.get()
    if notes is not None:
        notes.counts.update(counts)
    else:
        warnings.warn(Notes(counts).describe(), ImageNote, stacklevel=2)


class _Listener(logging.Handler):
    def __init__(self, remarks: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.remarks = remarks

    def emit(self, record: logging.LogRecord) -> None:
        self.remarks.append(" ".join(record.getMessage().split()))


_open: ContextVar[Notes | None] = ContextVar("notes", default=None)
