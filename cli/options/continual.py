"""The options of `headroles adapt` for several tasks one after the other, and what it prints of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.bars import say
from headroles.cli.options.kinds import Listed, Task, Word
from headroles.cli.options.names import split_names

if TYPE_CHECKING:
    from headroles.adapt.continual.result import Continual

NAMES = ("tasks", "continual", "drift_images")
"""Parameters of the options."""
_OPTIONS = (
    click.option(
        "--tasks",
        type=Listed(Task()),
        help="Several tasks, separated by commas, one after the other, in place of --task.",
    ),
    click.option(
        "--continual",
        type=Listed(Word(choices.CONTINUAL), "all"),
        help="With --tasks, some of sequential (one adapter through all), separate (one a task) and merged (these "
        "merged), or all.  [default: all]",
    ),
    click.option(
        "--drift-images",
        type=click.IntRange(min=0),
        help="With --tasks: images a task over which the drift of heads is measured; 0: none.  [default: 64]",
    ),
)
_ALONE = {
    **{name: "each task is trained and tested on all of its classes" for name in ("protocol", "targets")},
    **{"task": "give one of the two", "retention": "every adapter is tested on all tasks"},
    **{name: "write it behind each task" for name in ("test_share", "val_share", "label", "class_names")},
    "template": "each task has its own",
}
"""Options of one task -> why they do not go with several."""


def continual_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --tasks, --continual and --drift-images to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_continual(options: dict[str, Any]) -> dict[str, Any]:
    """What `headroles.adapt.adapt_tasks` takes beside, out of the options that are given; nothing without --tasks.

    UsageError where others are given that go with one task alone.
    """
    given = {name: options.pop(name) for name in NAMES if name in options}
    if "tasks" not in given:
        for name in given:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --tasks; give several tasks")
        return {}
    for name, why in _ALONE.items():
        if name in options:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --tasks: {why}")
    given["tasks"] = split_names(given["tasks"])
    if "continual" in given:
        ways = split_names(given.pop("continual"))
        given |= {} if ways == ("all",) else {"continual": ways}
    return given


def run_continual(given: Mapping[str, Any], options: Mapping[str, Any], progress: Any, dry_run: bool) -> None:
    """Train, and print what came of it; or say how all would be read."""
    if dry_run:
        _plan(given, options)
        return
    from headroles.adapt.continual.adapt_tasks import adapt_tasks
    from headroles.adapt.training.processes import is_main

    found = adapt_tasks(**options, **given, progress=progress, say=say)
    if is_main():
        _report(found, options["output"])


def _plan(given: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    from headroles.adapt.continual.ways import MERGINGS, WAYS, check_tasks, check_ways
    from headroles.adapt.jobs.plan import plan

    check_tasks(given["tasks"])
    check_ways(options["method"], given.get("continual", WAYS), MERGINGS)
    unread = {"role_map", "workers", "output"}
    kept = {name: value for name, value in options.items() if name not in unread}
    lines = [line for task in given["tasks"] for line in plan(task=task, protocol="few-shot", retention=(), **kept)]
    for line in dict.fromkeys(lines):
        click.echo(line)


def _report(found: Continual, output: Any) -> None:
    from headroles.adapt.continual.ways import STRATEGIES
    from headroles.cli.options.stopped import typed

    click.echo(found.to_table() + "\n")
    for strategy in found.strategies:
        click.echo(f"{strategy}: {STRATEGIES[strategy]}")
    click.echo(f"wrote {output}")
    click.echo("next: " + typed("plot", output))
