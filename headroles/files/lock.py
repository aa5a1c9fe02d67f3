"""One command at a time writes one result: a lock file names process, host and command."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headroles.errors import InputError
from headroles.files.json_files import dump_json
from headroles.files.places import check_writable, tidying

try:
    import fcntl
except ImportError:  # Not on this system; then the process number alone tells who is alive.
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()
"""Files of this process's locks. A child that was forked closes its copies, or the lock would outlive us in it."""


def _close_copies() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_copies)


@contextmanager
def locked(folder: Path, result: str) -> Iterator[None]:
    """Hold a folder's `result`, such as "adapter", while the work inside lasts; InputError where another process does.

    The file .RESULT.lock is there meanwhile. The system lets go of it when its process ends, however that ends, so what
    is left of a killed one is no hindrance. Where the work fails, folders that were made for it and are empty go too.
    """
    path = folder / f".{result.replace(' ', '-')}.lock"
    check_writable(folder)
    with tidying(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _take(path, result)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if file in _held:
                _held.discard(file)
                os.close(file)


def _take(path: Path, result: str) -> int:
    """The open file of a lock that this process has now."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"output: cannot write {path} ({error.strerror}); give another --output") from error
        if not _claim(file):
            note = _read(file)
            os.close(file)
            raise InputError(_refusal(path, result, note), page="output-busy")
        # The one that had it may have taken the file away between opening and locking.
        if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
            break
        os.close(file)
    _held.add(file)
    with contextlib.suppress(OSError):  # A full disk: the lock holds all the same, only the note is missing.
        os.ftruncate(file, 0)
        os.write(file, dump_json(_describe_self()).encode())
    return file


def _claim(file: int) -> bool:
    """Whether nobody else has the lock: by the system's word or, where that has none, by the process in the file."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:
        pass  # A file system without locks.
    note = _read(file)
    return note.get("host") != socket.gethostname() or not _lives(note.get("pid"))


def _lives(pid: Any) -> bool:
    try:
        os.kill(pid, 0)
    except (TypeError, ProcessLookupError):
        return False
    except OSError:
        return True  # Another user's.
    return True


def _read(file: int) -> dict[str, Any]:
    try:
        note = json.loads(os.pread(file, 4096, 0) or b"{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _describe_self() -> dict[str, Any]:
    command = ["headroles", *sys.argv[1:]] if Path(sys.argv[0]).stem in ("headroles", "__main__") else sys.argv[:1]
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": shlex.join(command)[:1000]}


def _refusal(path: Path, result: str, note: dict[str, Any]) -> str:
    who = f"process {note.get('pid', '?')} on {note.get('host', '?')}"
    command = f" (`{note['command']}`)" if note.get("command") else ""
    return f"output: {who}{command} is writing the {result} in {path.parent}; wait for it, or give another --output"
