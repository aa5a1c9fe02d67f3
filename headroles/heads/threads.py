"""One of torch's threads instead of all: many small products gain nothing from several, and wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threads() -> Iterator[None]:
    """While open, every operation of this process runs in the thread that calls it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
