"""Checks that settings share: each raises InputError with the setting's name, what was expected and what came."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from headroles.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
"""A frozen dataclass of settings."""


def check_choices(settings: Any, where: str = "", **choices: Sequence[str]) -> None:
    """Each named setting is one of its choices; `where` ends the sentence about them, as in " with image probes"."""
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}{where}, got {getattr(settings, name)!r}")


def check_least(settings: Any, **least: float) -> None:
    """Each named setting is at least so much."""
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            raise InputError(f"{name} must be at least {bound}, got {getattr(settings, name)}")


def check_bounds(settings: Any) -> None:
    """`low` and `high`, the bounds of roles, are in order and within 0 and 1."""
    if not 0 <= settings.low <= settings.high <= 1:
        raise InputError(f"low and high must satisfy 0 <= low <= high <= 1, got {settings.low} and {settings.high}")


def make_settings(kind: type[Settings], given: Settings | None, named: Mapping[str, Any], what: str) -> Settings:
    """The settings as an object, or made from single ones by name, those left out at their defaults.

    `what` says what they are settings of. Raises InputError where both are given, or a name is none of `kind`'s.
    """
    if given is not None and named:
        first = next(iter(named))
        raise InputError(f"{first}: give the settings of {what} by name or as one {kind.__name__}, not both")
    if given is not None and not isinstance(given, kind):
        raise InputError(f"config: {what} takes {kind.__name__}, got {type(given).__name__}")
    known = [field.name for field in dataclasses.fields(kind)]
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"these are: {', '.join(known)}"
            raise InputError(f"{name} is no setting of {what}; {hint}")
    return kind(**named) if given is None else given
