"""The command line in processes of their own, forked from one that has imported everything: a start costs no imports.

As a program it is that one process: every line of its standard input asks for a command, each answer is a process's id
or its exit code.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock

from tqdm import tqdm


class ForkedCommands:
    """The process to fork from. It runs until `close`."""

    def __init__(self) -> None:
        settings = {**os.environ, "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._source = subprocess.Popen([sys.executable, __file__], env=settings, **pipes)

    def start(self, arguments: Sequence[str], settings: Mapping[str, str], out: Path, err: Path) -> ForkedCommand:
        """Runs `headroles` with arguments and environment variables, its output in two files."""
        asked = {"arguments": list(arguments), "settings": dict(settings), "out": str(out), "err": str(err)}
        return ForkedCommand(self._ask(asked), self)

    def close(self) -> None:
        """Ends it."""
        self._source.communicate()

    def _ask(self, question: dict) -> int | None:
        print(json.dumps(question), file=self._source.stdin, flush=True)
        return json.loads(self._source.stdout.readline())


class ForkedCommand:
    """One of its children, as a `subprocess.Popen`."""

    def __init__(self, pid: int, commands: ForkedCommands) -> None:
        self.pid, self.returncode, self._commands = pid, None, commands

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = self._commands._ask({"pid": self.pid})
        return self.returncode

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 60) -> int:
        """Its exit code, or TimeoutError."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} still runs after {seconds} s")
            time.sleep(0.005)
        return self.returncode


def _serve() -> None:
    import headroles

    for module in pkgutil.walk_packages(headroles.__path__, "headroles."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # Its children need not look through it.
    for line in sys.stdin:
        question = json.loads(line)
        answer = _poll(question["pid"]) if "pid" in question else os.fork() or _run(question)
        print(json.dumps(answer), flush=True)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _run(question: dict) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(question[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(question["settings"])
    tqdm.set_lock(RLock())  # The one that all share would stay taken where a process is killed.
    sys.argv[:] = ["headroles", *question["arguments"]]
    importlib.import_module("headroles.cli.main").main()


if __name__ == "__main__":
    _serve()
