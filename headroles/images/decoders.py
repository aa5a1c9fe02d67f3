"""What libraries in C print on stderr while they decode a picture (libtiff does): remarks, as Python's warnings are."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

from headroles.images.deep import ImageNote

_STDERR = 2


class _Ear:
    """Hears for all threads of a process: the first that listens turns stderr aside, the last one turns it back."""

    def __init__(self) -> None:
        self._lock, self._listeners, self._stderr = Lock(), 0, _STDERR

    def listen(self) -> bool:
        """Whether anything can be heard: not where there is no stderr, or no place for the file."""
        with self._lock:
            if not self._listeners:
                try:
                    self._stderr, file = os.dup(_STDERR), _file(os.getpid())
                except OSError:
                    return False
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.dup2(file, _STDERR)
            self._listeners += 1
            return True

    def leave(self) -> None:
        """Stop listening; who stops last remarks on what was heard."""
        with self._lock:
            self._listeners -= 1
            if self._listeners:
                return
            os.dup2(self._stderr, _STDERR)
            os.close(self._stderr)
            heard = _read(_file(os.getpid()))
        for line in filter(str.strip, heard.splitlines()):
            warnings.warn(line.strip(), ImageNote, stacklevel=2)


@contextmanager
def overheard() -> Iterator[None]:
    """What is printed on stderr meanwhile, by its number and not by Python's name, becomes `ImageNote` warnings."""
    if not _EAR.listen():
        yield
        return
    try:
        yield
    finally:
        _EAR.leave()


def _read(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, size, 0).decode(errors="replace") if size else ""


@cache
def _file(process: int) -> int:
    """A file without a name, one a process: forked ones would share its end."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("remarks")
    return os.dup(tempfile.TemporaryFile().fileno())


_EAR = _Ear()
