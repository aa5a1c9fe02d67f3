"""What the library says while a command runs, on stderr: how images are read at once, remarks on them at the end."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from headroles.cli.options.bars import say
from headroles.errors import SAYS, InputError, reword


@contextmanager
def telling() -> Iterator[None]:
    """Listen to the library's log meanwhile."""
    log, listener = logging.getLogger("headroles"), _Listener()
    level, show = log.level, warnings.showwarning
    warnings.showwarning = partial(_keep, listener, show)
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    try:
        yield
    except InputError:
        # What is wrong with a model says the error, better than the library that tripped over it.
        listener.kept = [line for line in listener.kept if not line.startswith(SAYS)]
        raise
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        warnings.showwarning = show
        for line, times in Counter(listener.kept).items():
            click.echo(f"{line} ({times} times)" if times > 1 else line, err=True)


def _keep(
    listener: _Listener, show: Callable[..., None], message: Warning | str, category: type[Warning], filename: str,
    *place: Any, **more: Any,
) -> None:  # fmt: skip
    """Warnings about single images wait for the end; others are shown."""
    if category.__name__ == "ImageNote" or "PIL" in Path(filename).parts:
        listener.kept.append(reword(str(message)))
    else:
        show(message, category, filename, *place, **more)


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if record.levelno > logging.INFO:
            self.kept.append(line)  # A bar may be drawn.
        else:
            say(line)
