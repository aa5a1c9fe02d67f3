"""Which layers are meant: words and numbers to layer numbers."""

from __future__ import annotations

import math

from headroles.errors import InputError


def first_deep_layer(total: int) -> int:
    """The first layer of the last third of `total`; DeAR scores the last four of twelve."""
    return total - math.ceil(total / 3)


def resolve_layers(layers: str, total: int, pooling: bool = False) -> tuple[int, ...]:
    """Layer numbers, sorted, of "deep", "all" or a list of numbers and ranges, for a tower of `total` layers.

    `pooling`: the heads of a pooling head above count as layer `total`; "deep" and "all" take it in.
    """
    end = total + pooling
    if layers == "all":
        return tuple(range(end))
    if layers == "deep":
        return tuple(range(first_deep_layer(total), end))
    chosen: set[int] = set()
    for part in layers.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or part.strip().endswith("-"):
            raise InputError(f"layers must be deep, all, or numbers and ranges such as 8-11, got {layers!r}")
        chosen.update(range(int(first), int(last or first) + 1))
    if not chosen or max(chosen) >= end:
        raise InputError(f"layers: {layers!r} is not within this model's layers 0-{end - 1}")
    return tuple(sorted(chosen))
