"""Lists of numbers in one option: with commas, and ranges with a dash."""

from __future__ import annotations

import click


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """Numbers such as "1,5" and ranges such as "1-3", in their order."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last))):
            raise click.UsageError(f"--{option} must be numbers and ranges such as 1-3 or 1,5, got {text!r}")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
