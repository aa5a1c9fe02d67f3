"""The options that say where one file of results goes, and whether it may be replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def output_options(help: str, replaces: str = "the file of --output") -> Callable[[Callable[..., Any]], Any]:
    """Adds --output, of this help, and --overwrite, which replaces what `replaces` says, to a command."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option("--overwrite", is_flag=True, help=f"Replace {replaces}.")(command)
        return click.option("--output", type=click.Path(path_type=Path), help=help)(command)

    return add


def check_new(*files: Path, overwrite: bool) -> None:
    """InputError where one of the files exists and may not be replaced, or their folder cannot be written to."""
    from headroles.files.places import check_free, check_writable

    if not overwrite:
        check_free(*files)
    check_writable(files[0].parent)
