"""Turns: threads that use one model, one after another."""

from __future__ import annotations

from threading import RLock


class Turns:
    """A lock that its thread may take again, and that a copy of its owner has anew."""

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Turns], tuple[()]]:
        return Turns, ()
