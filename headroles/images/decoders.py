"""What libraries in C print on stderr while they decode a picture (libtiff does): remarks, as Python's warnings are."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from headroles.images.deep import ImageNote

_STDERR = 2


@contextmanager
def overheard() -> Iterator[None]:
    """What is printed on stderr meanwhile, by its number and not by Python's name, becomes `ImageNote` warnings."""
    try:
        stderr, file = os.dup(_STDERR), _file(os.getpid())
    except OSError:  # No stderr, or no place for the file.
        yield
        return
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.dup2(file, _STDERR)
    try:
        yield
    finally:
        os.dup2(stderr, _STDERR)
        os.close(stderr)
        _remark(file)


def _remark(file: int) -> None:
    size = os.fstat(file).st_size
    for line in os.pread(file, size, 0).decode(errors="replace").splitlines() if size else ():
        if line.strip():
            warnings.warn(line.strip(), ImageNote, stacklevel=2)


@cache
def _file(process: int) -> int:
    """A file without a name, one a process: forked ones would share its end."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("remarks")
    return os.dup(tempfile.TemporaryFile().fileno())
