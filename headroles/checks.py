"""Checks that settings share: each raises InputError with the setting's name, what was expected and what came."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from headroles.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar("Config", bound=DataclassInstance)


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


def make_config(
    kind: type[Config], config: Config | None, settings: Mapping[str, Any], also: Sequence[str] = ()
) -> Config:
    """The config that is given, or one of these settings; an unknown setting is refused, with the near one.

    `also`: other names that may have been meant.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            near = get_close_matches(name, [*known, *also], 1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"{name} is no setting of {kind.__name__}; {advice}")
    if config is not None and settings:
        raise InputError(f"config: give either config or {', '.join(settings)} beside it, not both")
    if config is not None and not isinstance(config, kind):
        raise InputError(f"config: expected {kind.__name__}, got {type(config).__name__}")
    return kind(**settings) if config is None else config
