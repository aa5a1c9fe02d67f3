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


def parse_shots(text: str) -> tuple[int | None, ...]:
    """One or several numbers of training images a class, such as "16" or "1,2,all"; None for all of them."""
    counts = [each.strip() for each in text.split(",")]
    if not all(each == "all" or (each.isdecimal() and int(each)) for each in counts):
        raise click.UsageError(f"--shots must be a number from 1, or all, got {text!r}; several are written 1,2,4")
    return tuple(None if each == "all" else int(each) for each in counts)
