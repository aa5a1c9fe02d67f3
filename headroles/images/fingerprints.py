"""Fingerprints of single images: 64 bits of a hash over the bytes that an image is read from, wherever these lie.

A file, a member of a tar file and a cell of a table hold the same bytes, and so give the same fingerprint; what is
rendered or lies in memory gives that of its pixels. Whoever reads an image takes its fingerprint in passing (`take`);
whoever wants to know it listens (`taking`), and nothing is computed where nobody does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from jaxtyping import UInt8
from numpy import ascontiguousarray, ndarray

_TAKEN: ContextVar[list[int] | None] = ContextVar("taken", default=None)


@contextmanager
def taking() -> Iterator[list[int]]:
    """The fingerprints of all images that are read meanwhile, as they come."""
    taken: list[int] = []
    token = _TAKEN.set(taken)
    try:
        yield taken
    finally:
        _TAKEN.reset(token)


def take(content: bytes) -> None:
    """Note the fingerprint of an image with these encoded bytes."""
    taken = _TAKEN.get()
    if taken is not None:
        taken.append(fingerprint(content))


def take_pixels(pixels: UInt8[ndarray, "height width 3"]) -> None:
    """Note the fingerprint of an image that has no encoded bytes."""
    if _TAKEN.get() is not None:
        take(repr(pixels.shape).encode() + ascontiguousarray(pixels).tobytes())


def fingerprint(content: bytes) -> int:
    """64 bits of BLAKE2b over the bytes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
