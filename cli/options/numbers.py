"""Numbers in options of adapt and compare: shots and seeds."""

from __future__ import annotations

import click


def parse_shots(text: str) -> int | None:
    """A number of images a class; None for "all"."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise click.UsageError(f"--shots must be a number or all, got {text!r}")
    return int(text)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Of numbers and ranges such as 1-3 or 1,5."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last))):
            raise click.UsageError(f"--seeds must be numbers and ranges such as 1-3 or 1,5, got {text!r}")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(seeds)
