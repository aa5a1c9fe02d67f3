"""Turns: threads that put hooks on one model, one after another."""

from __future__ import annotations

from threading import RLock

from headroles.errors import InputError

WAIT = 60.0
"""Seconds that a thread waits for its turn."""


class Turns:
    """A lock that its thread may take again, and that a copy of its owner has anew."""

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=WAIT):
            raise InputError(
                f"model: another thread has had hooks on it for {WAIT:g} s, such as by `ablating`; end that first, or "
                "load the model once more for this thread"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Turns], tuple[()]]:
        return Turns, ()
