"""What to type after a stop, and commands to type in general, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click


def typed(*words: object) -> str:
    """A command to type: `headroles` and these words, quoted where a shell would read them otherwise."""
    return shlex.join(["headroles", *map(str, words)])


def how_to_go_on(group: click.Group, arguments: Sequence[str]) -> str:
    """What is said when a command was stopped with Ctrl-C."""
    unfinished = _find_unfinished(group, arguments)
    if unfinished is None:
        return "stopped: nothing was written, and what was there before is as it was"
    again = [word for word in arguments if word not in ("--overwrite", "--resume")]
    return f"stopped: what is done is kept in {unfinished}; go on with: {typed(*again, '--resume')}"


def _find_unfinished(group: click.Group, arguments: Sequence[str]) -> Path | None:
    """The folder of what can be resumed; None where there is none, or the command does not resume."""
    command = group.get_command(click.Context(group), arguments[0]) if arguments else None
    if command is None or all(option.name != "resume" for option in command.params):
        return None
    output = command.make_context(arguments[0], list(arguments[1:]), resilient_parsing=True).params.get("output")
    if output is None:
        return None
    found = (path for depth in range(4) for path in sorted(Path(output).glob("*-*/" * depth + "unfinished")))
    return next((path for path in found if path.is_dir()), None)
