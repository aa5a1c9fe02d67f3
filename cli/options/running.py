"""The options that say how a model is run, the same in every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ..."),
    click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Images a forward."),
    click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes."),
)


def running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --device, --batch and --workers to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
