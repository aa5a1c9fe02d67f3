"""transformers while it loads: its warnings come once each, one line, afterwards; its bars and load reports do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, WARNING, Handler, LogRecord, getLogger

from transformers.utils import logging

from headroles.errors import SAYS, reword

_SAID_BETTER = ("transformers.utils.loading_report", "transformers.modeling_utils", "transformers.models.auto")
"""Loggers of tables and hints on what the checks of a model say themselves, by name and with a remedy."""


@contextmanager
def quiet() -> Iterator[None]:
    """While open, what transformers logs waits; what is wrong with a model is said by the checks that follow."""
    bar, root = logging.is_progress_bar_enabled(), getLogger("transformers")
    hub = getLogger("huggingface_hub")
    hub_level, handlers, spreads, waiting = hub.level, root.handlers, root.propagate, _Waiting()
    logging.disable_progress_bar()
    hub.setLevel(ERROR)
    root.handlers, root.propagate = [waiting], False
    try:
        yield
    finally:
        root.handlers, root.propagate = handlers, spreads
        hub.setLevel(hub_level)
        if bar:
            logging.enable_progress_bar()
    waiting.say()


class _Waiting(Handler):
    """Keeps what comes."""

    def __init__(self) -> None:
        super().__init__(WARNING)
        self.lines: dict[str, LogRecord] = {}

    def emit(self, record: LogRecord) -> None:
        """Once each, on one line."""
        if not record.name.startswith(_SAID_BETTER):
            line = " ".join(record.getMessage().split())
            record.msg, record.args = line, ()
            self.lines.setdefault(line, record)

    def say(self) -> None:
        """Everything that was kept: to whoever listens to this package, else as if it came now."""
        ours = getLogger("headroles")
        for line, record in self.lines.items():
            if ours.handlers:
                ours.warning("%s%s", SAYS, reword(line))
            else:
                getLogger(record.name).handle(record)
