"""The one error for a user's mistake; commands print it as one line and exit with 2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_VAGUE = tuple(
    (re.compile(rf"(?<![^\s(]){vague}(?=[,:;.)!]*(?:\s|$))"), meant)
    for vague, meant in (("an unexpected", "a wrong"), ("Unexpected", "Wrong"), ("unexpected", "wrong"))
)
"""What libraries say of files and values, and what is meant."""
SAYS = "transformers says: "
"""Before a line of its log, where it is told by us."""


class InputError(ValueError):
    """Something given from outside does not fit: says what was expected, what came and what to do."""

    def __init__(self, message: str = "", page: str | None = None) -> None:
        """`page` names a page of the docs that explains the refusal, in full; `headroles help PAGE` prints it."""
        super().__init__(message)
        self.page = page

    def __str__(self) -> str:
        """The message, in one line, with what to type for more."""
        return f"{super().__str__()} [headroles help {self.page}]" if self.page else super().__str__()


@contextmanager
def told_as(option: str, what: str) -> Iterator[None]:
    """A mistake that begins with `what`, such as task, begins with the option that named it, such as retention."""
    try:
        yield
    except InputError as error:
        message = str(error.args[0])
        if option == what or not message.startswith(f"{what}: "):
            raise
        raise InputError(option + message.removeprefix(what), error.page) from error


class ToldElsewhere(InputError):
    """The same mistake in one of several processes; the main one says it, this one only ends."""


def said(error: BaseException, longest: int = 300) -> str:
    """What a library's error says, for a message of ours: one line, cut to `longest` characters, its kind if empty."""
    return reword(str(error))[:longest] or type(error).__name__


def reword(text: str) -> str:
    """What a library says, in one line, as we would."""
    text = " ".join(text.split())
    for vague, meant in _VAGUE:
        text = vague.sub(meant, text)
    return text
