"""--max-pixels, the same in every command that opens images."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

VARIABLE = "HEADROLES_MAX_PIXELS"


def pixels_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --max-pixels to a command; processes that decode images see it too."""
    return click.option(
        "--max-pixels", type=click.IntRange(min=1), expose_value=False, callback=_set,
        help="Larger pictures, width times height, count as broken.  [default: 200000000]",
    )(command)  # fmt: skip


def _set(context: click.Context, option: click.Parameter, limit: int | None) -> None:
    if limit is None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(limit)
    context.call_on_close(lambda: _restore(before))


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = before
