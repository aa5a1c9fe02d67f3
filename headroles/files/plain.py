"""From JSON's dicts and lists to frozen dataclasses, by the types of their fields; what does not fit is refused."""

from __future__ import annotations

import collections.abc
import dataclasses
import math
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from headroles.files.ranges import Written

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
_MAPPINGS = (dict, collections.abc.Mapping)
_LISTS = (tuple, list, collections.abc.Sequence)


class Unfit(ValueError):
    """Plain data do not fit a type; says where, what was expected and what came."""


def from_plain(kind: Any, raw: Any, place: str = "") -> Any:
    """`raw`, parsed JSON, as a `kind`: a dataclass, tuple, Mapping, Literal, str, int, float, bool, None, a union, Any.

    A kind that is `Annotated` with rules (`headroles.files.ranges`) has to keep to them.

    Dataclasses are built by the types of their fields, which have to be known at run time; unknown keys are refused,
    and missing ones of fields without a default or that are `Written`. Lists become tuples. `place` names `raw` in
    errors. Raises `Unfit`.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return raw
    if origin is Annotated:
        return _keep(inner[1:], from_plain(inner[0], raw, place), place)
    if origin in (Union, UnionType):
        return _one_of(inner, raw, place)
    if dataclasses.is_dataclass(kind):
        return _build(kind, raw, place)
    if kind in _MAPPINGS or origin in _MAPPINGS:
        return _mapping(inner or (Any, Any), raw, place)
    if kind in _LISTS or origin in _LISTS:
        return _list(inner or (Any, ...), raw, place)
    if origin is Literal:
        return raw if raw in inner else _refuse(place, f"one of {', '.join(map(repr, inner))}", raw)
    return raw if _is_a(kind, raw) else _refuse(place, _WORDS.get(kind, str(kind)), raw)


@cache
def _types(kind: type) -> dict[str, tuple[Any, bool]]:
    """Name of a dataclass's field -> its type, and whether it has to be there."""
    types = get_type_hints(kind, include_extras=True)
    return {
        field.name: (types[field.name], _is_needed(field, types[field.name]))
        for field in dataclasses.fields(kind)
        if field.init
    }


def _is_needed(field: dataclasses.Field, kind: Any) -> bool:
    without = field.default is field.default_factory is dataclasses.MISSING
    return without or Written() in getattr(kind, "__metadata__", ())


def _build(kind: Any, raw: Any, place: str) -> Any:
    if not isinstance(raw, dict):
        _refuse(place, "an object", raw)
    types = _types(kind)
    for trouble, names in (
        ("unknown key", raw.keys() - types.keys()),
        ("no key", {name for name, (_, needed) in types.items() if needed} - raw.keys()),
    ):
        if names:
            raise Unfit(f"{place + ': ' if place else ''}{trouble} {min(names)!r}")
    return kind(**{name: from_plain(types[name][0], value, _join(place, name)) for name, value in raw.items()})


def _keep(rules: tuple[Any, ...], value: Any, place: str) -> Any:
    for rule in rules:
        if expected := rule.refuses(value):
            _refuse(place, expected, value)
    return value


def _one_of(kinds: tuple[Any, ...], raw: Any, place: str) -> Any:
    """The first that fits; where None does not, the error of the last says what is wrong."""
    if raw is None and NoneType in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not NoneType]
    for kind in others:
        try:
            return from_plain(kind, raw, place)
        except Unfit:
            continue
    return from_plain(last, raw, place)


def _mapping(inner: tuple[Any, ...], raw: Any, place: str) -> dict[Any, Any]:
    if not isinstance(raw, dict):
        _refuse(place, "an object", raw)
    names, values = inner
    return {_key(names, name, place): from_plain(values, value, _join(place, str(name))) for name, value in raw.items()}


def _key(kind: Any, name: Any, place: str) -> Any:
    """JSON's keys are texts, also those of whole numbers."""
    if kind is not int:
        return from_plain(kind, name, place)
    try:
        return int(name)
    except ValueError:
        return _refuse(place, "whole numbers as keys", name)


def _list(inner: tuple[Any, ...], raw: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(raw, (list, tuple)):
        _refuse(place, "a list", raw)
    kinds = (inner[0],) * len(raw) if len(inner) == 1 or inner[-1] is Ellipsis else inner
    if len(kinds) != len(raw):
        _refuse(place, f"a list of {len(kinds)}", f"{len(raw)} entries")
    return tuple(
        from_plain(kind, value, f"{place}[{number}]")
        for number, (kind, value) in enumerate(zip(kinds, raw, strict=True))
    )


def _is_a(kind: Any, raw: Any) -> bool:
    if isinstance(raw, bool):
        return kind is bool
    if kind in (int, float) and isinstance(raw, (int, float)):
        return _is_number(kind, raw)
    return isinstance(raw, kind)


def _is_number(kind: Any, raw: int | float) -> bool:
    """Finite, and a whole one within 64 bits: JSON's 1e999 is infinite, and its whole numbers have no end."""
    if isinstance(raw, float):
        return kind is float and math.isfinite(raw)
    return -(2**63) <= raw < 2**63


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _refuse(place: str, expected: str, raw: Any) -> Any:
    raise Unfit(f"{place + ': ' if place else ''}expected {expected}, got {str(raw)[:40]!r}")
