"""Checks that settings share: each raises InputError with the setting's name, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headroles.errors import InputError


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
