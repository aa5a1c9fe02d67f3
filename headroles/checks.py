"""Checks that settings share: each raises InputError with the setting's name, what was expected and what came."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from headroles.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar("Config", bound=DataclassInstance)

P = ParamSpec("P")
T = TypeVar("T")
_LEAST = {"batch": 1, "count": 1, "k": 1, "shots": 1, "top": 1, "workers": 0, "seed": 0}
"""Bounds that these settings have wherever they are met."""


def near(word: str, known: Iterable[str]) -> str:
    """What may have been meant, to end a message with: "; did you mean shape?"; "" where nothing is near."""
    found = get_close_matches(word, list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""


def check_choices(settings: Any, where: str = "", **choices: Sequence[str]) -> None:
    """Each named setting is one of its choices; `where` ends the sentence about them, as in " with image probes"."""
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            given = getattr(settings, name)
            words = ", ".join(word or repr(word) for word in known)
            raise InputError(f"{name} must be one of {words}{where}, got {given!r}{near(str(given), known)}")


def check_least(settings: Any, **least: float) -> None:
    """Each named setting is at least so much."""
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            raise InputError(f"{name} must be at least {bound}, got {getattr(settings, name)}")


def check_bounds(low: float, high: float) -> None:
    """The bounds of roles are in order and within 0 and 1."""
    if not 0 <= low <= high <= 1:
        raise InputError(f"low and high must satisfy 0 <= low <= high <= 1, got {low} and {high}")


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


def typed(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a public function: a plain setting (number, word, switch) of another type is an InputError.

    So is an argument that it does not have, where it takes no settings beside its own. Types are read from the
    function's annotations.
    """
    signature = inspect.signature(function)
    kinds = {name: str(each.annotation) for name, each in signature.parameters.items()}
    open_ended = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())

    @wraps(function)
    def checked(*args: P.args, **given: P.kwargs) -> T:
        if not open_ended:
            check_names(function.__name__, given, tuple(kinds))
        named = dict(zip(kinds, args, strict=False)) | given
        check_kinds(named, kinds)
        return function(*args, **given)

    return checked


def check_names(called: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """InputError for an argument that is none of those known, with the near one."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
            raise InputError(f"{name} is no argument of {called}; {advice}")


def check_fields(settings: Any) -> None:
    """Every plain field of a settings class has its type."""
    check_kinds(vars(settings), {each.name: str(each.type) for each in dataclasses.fields(settings)})


def check_kinds(given: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """InputError where a value is not of its kind: int, float, bool, str, as annotations write them, or None."""
    for name, value in given.items():
        kind, _, optional = kinds.get(name, "").partition(" | ")
        if kind not in _KINDS or optional not in ("", "None"):
            continue
        fits, words = _KINDS[kind]
        if value is None and optional:
            continue
        if not fits(value):
            raise InputError(f"{name} must be {words}{' or None' if optional else ''}, got {str(value)[:60]!r}")
        if kind == "int" and value < _LEAST.get(name, value):
            raise InputError(f"{name} must be at least {_LEAST[name]}, got {value}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_word(value: Any) -> bool:
    """A path, or torch's own device, stands for its name."""
    return isinstance(value, (str, os.PathLike)) or type(value).__module__ == "torch"


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a finite number"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "str": (_is_word, "a word"),
}
