"""What differs between two records of settings, said by name: never two hashes side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DECIDED_BY: Mapping[str, str] = {
    "images": "their names, order or number: --images, --count, --column, --split, --seed",
    "labels": "--images",
    "groups": "--groups",
    "model": "--model",
    "weights": "--model",
    "base_model_hash": "--model",
    "role map": "--role-map",
    "role_map_sha256": "--role-map",
    "training images": "--task, --shots, or the files themselves",
    "training_images": "--task, --shots, or the files themselves",
    "classes": "--task, --protocol",
    "trained_classes": "--task, --protocol",
}
"""Setting -> the options that it comes from, where the name does not say it."""


def difference(old: Any, new: Any, name: str = "settings") -> tuple[str, Any, Any] | None:
    """The first place where two JSON values differ: its name, the old value, the new one; None where there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            found = difference(old.get(key), new.get(key), key)
            if found:
                return found
        return None
    return None if old == new else (name, old, new)


def tell_difference(name: str, old: Any, new: Any) -> str:
    """Such as "lr 0.005, got 0.1"; for values that say nothing to a reader, the options that decide."""
    decided = DECIDED_BY.get(name)
    if is_hash(old) or is_hash(new):
        return f"{name} other than now's ({decided})" if decided else f"{name} other than now's"
    return f"{name} {show(old)}, got {show(new)}" + (f" ({decided})" if decided else "")


def is_hash(value: Any) -> bool:
    """Whether a value is a sum over something else, of no use to a reader."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40,}", value) is not None


def show(value: Any) -> str:
    """A value as it was given; long lists by their length and first entries."""
    if isinstance(value, (list, tuple)) and len(value) > 4:
        return f"{len(value)} ({', '.join(map(str, value[:3]))} ...)"
    return repr(value)
