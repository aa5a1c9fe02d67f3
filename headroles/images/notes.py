"""What Pillow, transformers and this package remark on single images: counted, and said in one line at the end."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import reword
from headroles.images.deep import ImageNote
from headroles.images.fingerprints import fingerprint, taking

LOG = logging.getLogger("headroles")
"""What is said of how images are read: at INFO before a pass, at WARNING after it. The command line prints it."""


class Remarked(Dataset):
    """Images with what was remarked on each while it was decoded, and its fingerprint."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Any) -> tuple[Any, list[str], int]:
        with caught() as remarks, taking() as taken:
            found = self.images[item]
        return found, remarks, taken[0] if taken else _fingerprint_pixels(found[1])


def _fingerprint_pixels(pixels: Tensor | str) -> int:
    """Of images that come as a model wants them, from a class of a user's own: their pixels are all that is known."""
    return fingerprint(pixels.contiguous().view(torch.uint8).numpy().tobytes()) if isinstance(pixels, Tensor) else 0


@contextmanager
def caught() -> Iterator[list[str]]:
    """Collects Python's warnings and Pillow's and transformers' logs meanwhile; nothing of them is printed."""
    remarks: list[str] = []
    logs = [logging.getLogger(name) for name in ("transformers", "PIL")]
    before = [(log.handlers, log.propagate) for log in logs]
    for log in logs:
        log.handlers, log.propagate = [_Listener(remarks)], False
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            yield remarks
    finally:
        for log, (handlers, through) in zip(logs, before, strict=True):
            log.handlers, log.propagate = handlers, through
    remarks.extend(reword(str(each.message)) for each in found)


def tell(remarks: Iterable[str]) -> None:
    """Say the remarks of a pass, which is over, in one line."""
    counts = Counter(remarks)
    if not counts:
        return
    warn(describe_remarks(counts))


def warn(line: str) -> None:
    """Say one line to whoever listens to `LOG`, else as a warning."""
    if LOG.handlers:
        LOG.warning(line)
    else:
        warnings.warn(line, ImageNote, stacklevel=3)


def describe_remarks(counts: Counter[str]) -> str:
    """All of them in one line; the commonest in words."""
    (first, times), *others = counts.most_common()
    more = f"; and {len(others)} other kinds, {sum(count for _, count in others)} times" if others else ""
    return f"{counts.total()} remarks on images: {first} ({times} times){more}"


class _Listener(logging.Handler):
    def __init__(self, remarks: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.remarks = remarks

    def emit(self, record: logging.LogRecord) -> None:
        self.remarks.append(reword(record.getMessage()))
