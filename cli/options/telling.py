"""What the library says while a command runs, on stderr: how images are read at once, remarks on them at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def telling() -> Iterator[None]:
    """Listen to the library's log meanwhile."""
    log, listener = logging.getLogger("headroles"), _Listener()
    level = log.level
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        for line in listener.kept:
            click.echo(line, err=True)


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if record.levelno > logging.INFO:
            self.kept.append(line)  # A bar may be drawn.
        else:
            click.echo(line, err=True)
