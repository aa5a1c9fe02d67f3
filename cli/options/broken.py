"""What a command says of images that could not be read."""

from __future__ import annotations

from collections.abc import Sequence

import click


def note_broken(names: Sequence[str], most: int = 5) -> None:
    """Name some of them on stderr, where there are any."""
    if names:
        some = ", ".join(names[:most]) + (" ..." if len(names) > most else "")
        click.echo(f"left out {len(names)} broken image files: {some}", err=True)
