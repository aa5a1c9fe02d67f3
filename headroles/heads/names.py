"""Names of heads, such as L6.H3, patterns of them, such as L7.*, and names of their directions, such as L6.H3.D0-2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from headroles.errors import InputError

Head = tuple[int, int]
"""(layer, head), both from 0."""

_PATTERN = re.compile(r"L(\d+|\*)\.(?:H(\d+)|(\*))(?:\.D(\d{1,4}(?:-\d{1,4})?(?:\+\d{1,4}(?:-\d{1,4})?)*))?")


class Part(NamedTuple):
    """A head, or some of its directions (`headroles.heads.directions`)."""

    layer: int
    """0-based."""
    head: int
    """0-based."""
    directions: tuple[int, ...] = ()
    """Which, 0 the strongest, rising; none: the whole head."""

    @property
    def place(self) -> Head:
        """Layer and head."""
        return (self.layer, self.head)

    @property
    def name(self) -> str:
        """Such as L6.H3, or L6.H3.D0-2+5."""
        return head_name(self.place) + (f".D{_write_numbers(self.directions)}" if self.directions else "")

    def within(self, others: Iterable[Part]) -> bool:
        """Whether all of it belongs to the others."""
        own = [other for other in others if other.place == self.place]
        known = {direction for other in own for direction in other.directions}
        return any(not other.directions for other in own) or (bool(self.directions) and known >= {*self.directions})


def head_name(head: Head) -> str:
    """Such as L6.H3."""
    return f"L{head[0]}.H{head[1]}"


def parse_heads(text: str, layers: int, heads: int) -> tuple[Head, ...]:
    """The heads of a list such as "L6.H3,L7.*", sorted, each once; `*` stands for all heads or all layers.

    `layers` and `heads` are the tower's. Raises InputError for a name that is none, or is not in this tower, or names
    directions of a head.
    """
    parts = parse_parts(text, layers, heads)
    split = next((part for part in parts if part.directions), None)
    if split:
        raise InputError(f"heads: {split.name} names directions; expected whole heads here: {head_name(split.place)}")
    return tuple(part.place for part in parts)


def parse_parts(text: str, layers: int, heads: int, width: int | None = None) -> tuple[Part, ...]:
    """The heads, and directions of heads, of a list such as "L6.H3.D0-2,L6.H4,L7.*.D0", sorted, each once.

    `width`: how many directions a head has; None where that is not known yet. See `join_parts` for what is named twice.
    """
    return join_parts(part for name in text.split(",") for part in _parse(name.strip(), layers, heads, width))


def join_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """One part a head, sorted: all directions that are named of it, or the whole head where that is named too."""
    found: dict[Head, set[int] | None] = {}
    for part in parts:
        known = found.get(part.place, set())
        found[part.place] = None if known is None or not part.directions else known | {*part.directions}
    return tuple(Part(*place, tuple(sorted(own or ()))) for place, own in sorted(found.items()))


def check_written(text: str) -> None:
    """InputError where a list of heads is not written as `parse_parts` reads it, whatever the tower."""
    for name in text.split(","):
        _read(name.strip())


def _read(name: str) -> tuple[str, str, tuple[int, ...]]:
    """Layer, head and directions, as they are written."""
    match = _PATTERN.fullmatch(name)
    if not match:
        how = "L6.H3,L7.* (layer, head, from 0) or L6.H3.D0-2 (directions, 0 the strongest)"
        raise InputError(f"heads: {name!r} is no head; write such as {how}")
    return match[1], match[2] or match[3], _read_numbers(match[4] or "", name)


def _parse(name: str, layers: int, heads: int, width: int | None) -> list[Part]:
    layer, head, numbers = _read(name)
    places = (("layer", layer, layers), ("head", head, heads), ("direction", str(max(numbers, default=0)), width))
    for kind, number, least in places:
        if number != "*" and least is not None and int(number) >= least:
            whose = "its heads have" if kind == "direction" else "this model has"
            raise InputError(f"heads: {name} has no such {kind}; {whose} {kind}s 0-{least - 1}")
    return [
        Part(row, column, numbers)
        for row in (range(layers) if layer == "*" else [int(layer)])
        for column in (range(heads) if head == "*" else [int(head)])
    ]


def _read_numbers(text: str, name: str) -> tuple[int, ...]:
    """0, 1, 2, 5 of "0-2+5"."""
    numbers: set[int] = set()
    for stretch in text.split("+") if text else ():
        first, _, last = stretch.partition("-")
        if int(last or first) < int(first):
            raise InputError(f"heads: {name} counts down from {first} to {last}; write D{last}-{first}")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


def _write_numbers(numbers: tuple[int, ...]) -> str:
    """The opposite of `_read_numbers`."""
    breaks = [0, *(place for place, (a, b) in enumerate(pairwise(numbers), 1) if b > a + 1), len(numbers)]
    stretches = [numbers[start:stop] for start, stop in pairwise(breaks)]
    return "+".join(str(each[0]) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in stretches)


def head_list(heads: Iterable[Head | Part]) -> str:
    """The opposite of `parse_heads` and `parse_parts`, every head by its name."""
    return ",".join(Part(*each).name for each in heads)
