"""The options that choose heads of a role map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headroles.cli.options.kinds import Concept, Heads


def head_options(verb: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Adds --heads, --concept and --any-role to a command; `verb` begins their help, such as "Damp"."""

    def say(words: str) -> str:
        return f"{verb} {words}" if verb else words[0].upper() + words[1:]

    options = (
        click.option("--heads", type=Heads(), help=say("these heads, such as L6.H3,L7.*, or directions: L6.H3.D0-2.")),
        click.option("--concept", type=Concept(), help=say("the Attribute heads of this concept.")),
        click.option("--any-role", is_flag=True, help="With --concept: Mixed and Generalization heads too."),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add
