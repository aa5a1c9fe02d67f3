"""JSON: what we write holds no NaN or infinity; files that others may have touched are read whole, or refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from headroles.errors import InputError, said


def dump_json(value: Any, **layout: Any) -> str:
    """The JSON text of plain data, as `json.dumps` lays it out; InputError names a number that is NaN or infinite."""
    try:
        return json.dumps(value, allow_nan=False, **layout)
    except ValueError as error:
        found = _find_not_finite(value, "")
        if found is None:
            raise
        raise InputError(
            f"result: {found[0] or 'it'} is {found[1]}, which is no number and is not written; headroles doctor says "
            "whether the model is whole, and images that differ may be too few"
        ) from error


def _find_not_finite(value: Any, place: str) -> tuple[str, float] | None:
    """Place and value of the first number that JSON does not know."""
    if isinstance(value, float):
        return None if math.isfinite(value) else (place, value)
    if isinstance(value, Mapping):
        inner = [(f"{place}.{name}" if place else str(name), each) for name, each in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"{place}[{number}]", each) for number, each in enumerate(value)]
    else:
        return None
    return next((found for name, each in inner if (found := _find_not_finite(each, name)) is not None), None)


def read_json(path: str | os.PathLike[str], what: str, remedy: str = "", finite: bool = True) -> Any:
    """The value in a UTF-8 file, with or without a byte order mark.

    InputError, which begins with `what` ("adapter") and ends with `remedy` ("copy it again"), where the file cannot be
    read, is no JSON, or holds NaN or infinity, which JSON does not know. Unless `finite`, these are let through, for a
    reader that can say which setting has them.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(path, what, f"is no UTF-8 text, at byte {error.start}", remedy) from error
    except OSError as error:
        raise _refusal(path, what, f"cannot be read ({error.strerror})", remedy) from error
    return parse_json(text, str(path), what, remedy, finite)


def read_object(path: str | os.PathLike[str], what: str, remedy: str = "", finite: bool = True) -> dict[str, Any]:
    """`read_json` of a file that has to hold an object."""
    value = read_json(path, what, remedy, finite)
    if not isinstance(value, dict):
        raise _refusal(path, what, f"holds a {type(value).__name__}; expected a JSON object", remedy)
    return value


def parse_json(text: str, place: str, what: str, remedy: str = "", finite: bool = True) -> Any:
    """The value of a text; `place` names it in the InputError. See `read_json`."""
    try:
        return json.loads(text, parse_constant=_refuse_constant if finite else None)
    except RecursionError as error:
        raise _refusal(place, what, "is not JSON (nested too deeply)", remedy) from error
    except (ValueError, MemoryError) as error:
        raise _refusal(place, what, f"is not JSON ({said(error)})", remedy) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _refusal(place: str | os.PathLike[str], what: str, why: str, remedy: str) -> InputError:
    return InputError(f"{what}: {os.fspath(place)} {why}" + (f"; {remedy}" if remedy else ""))
