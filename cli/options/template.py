"""--template, the same in every command that writes prompts of classes: once, several times, or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _join(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    """One template a line."""
    from headroles.cli.options.names import read_lines

    lines = [line for text in given for line in (read_lines(Path(text[1:])) if text.startswith("@") else [text])]
    return "\n".join(lines) or None


def template_option(default: str) -> Callable[[Callable[..., Any]], Any]:
    """Adds --template to a command; `default` says what is taken without."""
    return click.option(
        "--template", multiple=True, callback=_join,
        help="Prompt with {} for the class; again for more, whose embeddings are averaged; or @FILE: a prompt a line, "
        f"and NAME<TAB>text<TAB>text for a class's own texts.  [default: {default}]",
    )  # fmt: skip
