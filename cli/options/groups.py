"""--groups, the same in every command whose intervals are over images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def groups_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --groups to a command."""
    return click.option(
        "--groups",
        help="Column of a table that says which images belong together, such as frames of a film; folder: those of one "
        "folder. Intervals then draw groups.  [default: blocks of neighbours]",
    )(command)
