"""The methods of adaptation by name."""

from __future__ import annotations

from headroles.adapt.methods.dear import Dear
from headroles.errors import InputError

METHODS: dict[str, type[Dear]] = {"dear": Dear}
"""Name -> class: built as `Dear` is, from a frozen CLIP, a role map, the method's settings and a seed."""


def find_method(name: str) -> type[Dear]:
    """The class of a method; InputError for a name that is none."""
    if name not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]
