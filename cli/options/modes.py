"""Options that belong to one of a command's modes are refused in the other, instead of being read by nobody."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.core import ParameterSource


def refuse_idle(context: click.Context, names: Iterable[str], mode: str) -> None:
    """UsageError where one of the parameters was typed, though nothing reads it `mode`: "with --evaluate"."""
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            flag = max(option.opts, key=len)
            raise click.UsageError(f"{flag} says nothing {mode}; leave it out")
