"""Names of heads, such as L6.H3, and patterns of them, such as L7.*."""

from __future__ import annotations

import re
from collections.abc import Iterable

from headroles.errors import InputError

Head = tuple[int, int]
"""(layer, head), both from 0."""

_PATTERN = re.compile(r"L(\d+|\*)\.(?:H(\d+)|(\*))")


def head_name(head: Head) -> str:
    """Such as L6.H3."""
    return f"L{head[0]}.H{head[1]}"


def parse_heads(text: str, layers: int, heads: int) -> tuple[Head, ...]:
    """The heads of a list such as "L6.H3,L7.*", sorted, each once; `*` stands for all heads or all layers.

    `layers` and `heads` are the tower's. Raises InputError for a name that is none, or is not in this tower.
    """
    chosen: set[Head] = set()
    for part in text.split(","):
        match = _PATTERN.fullmatch(part.strip())
        if not match:
            raise InputError(f"heads: {part.strip()!r} is no head; write such as L6.H3,L7.* (layer, head, from 0)")
        layer, head = match[1], match[2] or match[3]
        for kind, number, least in (("layer", layer, layers), ("head", head, heads)):
            if number != "*" and int(number) >= least:
                raise InputError(f"heads: {part.strip()} has no such {kind}; this model has {kind}s 0-{least - 1}")
        chosen.update(
            (row, column)
            for row in (range(layers) if layer == "*" else [int(layer)])
            for column in (range(heads) if head == "*" else [int(head)])
        )
    return tuple(sorted(chosen))


def head_list(heads: Iterable[Head]) -> str:
    """The opposite of `parse_heads`, every head by its name."""
    return ",".join(map(head_name, heads))
