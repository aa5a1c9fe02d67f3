"""Options that are fields of a settings class: their type and default are the field's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import click

from headroles.cli.options.kinds import Choice

_TYPES = {int: int, int | None: int, float: float, str: str, tuple[str, ...]: str}


def setting(
    config: type, name: str, help: str, default: str | None = None, choices: Sequence[str] = ()
) -> Callable:
    """An option named as a field of a settings class, which is None where it is not given.

    The help says the field's default, or `default` where words say it better. A field that is true or false makes a
    pair of flags, --name/--no-name.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    option, kind = "--" + name.replace("_", "-"), get_type_hints(config)[name]
    if kind is bool:
        shown = default or option.replace("--", "--no-" if not fields[name].default else "--", 1)
        return click.option(f"{option}/--no-{option[2:]}", default=None, help=f"{help}  [default: {shown}]")
    value: Any = fields[name].default
    shown = default or (",".join(value) if isinstance(value, tuple) else f"{value:g}" if kind is float else str(value))
    given = Choice(choices) if choices else _TYPES[kind]
    return click.option(option, type=given, help=f"{help}  [default: {shown}]")


def write_setting(value: Any) -> str:
    """A setting's value as `--set NAME=VALUE` reads it."""
    if isinstance(value, list | tuple):
        return ",".join(value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
