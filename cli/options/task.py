"""The options that say how a task's own data are read; they become a part of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--test-share", type=float, help="Share of each class that tests, in data without a split.  [default: 0.3]"
    ),
    click.option("--val-share", type=float, help="Share of each class's other images that validates.  [default: none]"),
    click.option("--label", help="Column of the classes, in a list or a data set that has several."),
    click.option(
        "--class-names",
        help="Names of the classes in prompts: a CSV file of label,name, a JSON object, or clean (without numbers in "
        "front).",
    ),
    click.option(
        "--domains",
        help="What says a picture's domain: folders, of DOMAIN/CLASS/ folders, or a column of a list.  [default for "
        "leave-one-domain-out: folders]",
    ),
    click.option("--strict", is_flag=True, help="Refuse images that cannot be read, or are there twice."),
    click.option("--dry-run", is_flag=True, help="Say how all is read, and stop."),
)


def task_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --test-share, --val-share, --label, --class-names, --domains, --strict and --dry-run to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def join_reading(task: str, options: dict[str, Any]) -> str:
    """The task's name with what is asked for, which is taken out of `options`."""
    from dataclasses import fields

    from headroles.adapt.data.spec import Reading

    names = [each.name for each in fields(Reading)]
    given = {name: options.pop(name, None) for name in names}
    return Reading(**{name: value for name, value in given.items() if value is not None}).join(task)
