"""Question: a message from a page, read field by field; whatever does not fit is one InputError."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from headroles.errors import InputError
from headroles.heads.names import Head

_LONGEST = 1000
"""Letters of a text: no text tower reads more."""
_HIGHEST = 10**4
"""Layers, and heads of a layer, that no model has."""


class Question:
    """One message, after it was seen that it asks something known and holds no other fields."""

    def __init__(self, message: Any, known: Mapping[str, Sequence[str]]) -> None:
        """`known`: what can be asked -> the fields that it takes. Raises InputError for anything else."""
        if not isinstance(message, Mapping):
            raise InputError(f"message: expected an object with a field ask, got a {type(message).__name__}")
        self.message = message
        self.ask = self.choice("ask", tuple(known))
        for name in message:
            if name != "ask" and name not in known[self.ask]:
                fields = ", ".join(known[self.ask]) or "no other field"
                raise InputError(f"message: {_short(name)} is no field of {self.ask!r}; it takes {fields}")

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.message.get(name, default)
        if not isinstance(value, str) or value not in choices:
            near = get_close_matches(str(value), choices, 1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{name}: expected one of {', '.join(choices)}, got {_short(value)}{advice}")
        return value

    def text(self, name: str, longest: int = _LONGEST) -> str:
        """A text that says something."""
        return _text(self.message.get(name), name, longest)

    def maybe_text(self, name: str, longest: int = _LONGEST) -> str | None:
        """The same, or None where it is left out or null."""
        return None if self.message.get(name) is None else self.text(name, longest)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A finite number within bounds."""
        value = self.message.get(name, default)
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or not low <= value <= high:
            raise InputError(f"{name}: expected a number from {low:g} to {high:g}, got {_short(value)}")
        return float(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within bounds."""
        return _whole(self.message.get(name, default), name, low, high)

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """Different texts, at most so many."""
        value = self.message.get(name)
        if not isinstance(value, (list, tuple)) or not 0 < len(value) <= most:
            raise InputError(f"{name}: expected 1 to {most} texts, got {_short(value)}")
        found = tuple(_text(each, name, _LONGEST) for each in value)
        if len({*found}) < len(found):
            twice = next(each for number, each in enumerate(found) if each in found[:number])
            raise InputError(f"{name}: {_short(twice)} is there twice; name each once")
        return found

    def head(self) -> Head:
        """The fields layer and head."""
        return read_heads([[self.message.get("layer"), self.message.get("head")]], "layer, head")[0]

    def heads(self, name: str) -> tuple[Head, ...]:
        """Pairs [layer, head], sorted, each once; none where the field is left out."""
        return read_heads(self.message.get(name, []), name)


def read_heads(value: Any, name: str = "heads") -> tuple[Head, ...]:
    """See `Question.heads`; InputError for anything but a list of pairs of whole numbers."""
    pairs = isinstance(value, (list, tuple)) and all(
        isinstance(each, (list, tuple)) and len(each) == 2 for each in value
    )
    if not pairs:
        raise InputError(f"{name}: expected pairs [layer, head], got {_short(value)}")
    return tuple(sorted({(_whole(one, name, 0, _HIGHEST), _whole(other, name, 0, _HIGHEST)) for one, other in value}))


def is_pair(value: Any) -> bool:
    """Whether it is a list of two."""
    return isinstance(value, (list, tuple)) and len(value) == 2


def _text(value: Any, name: str, longest: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name}: expected a text, got {_short(value)}")
    if len(value) > longest:
        raise InputError(f"{name}: expected at most {longest:,} letters, got {len(value):,}")
    return value.strip()


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{name}: expected a whole number from {low} to {high}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
