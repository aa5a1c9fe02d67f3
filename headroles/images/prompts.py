"""Prompts: a template and names of classes to texts."""

from __future__ import annotations

from collections.abc import Iterable

from headroles.errors import InputError

TEMPLATE = "a photo of a {}."
"""The prompt where nothing else is known."""


def check_template(template: str) -> None:
    """InputError where there is not exactly one {} for the name."""
    if template.count("{}") != 1:
        raise InputError(f"template: expected one {{}} for the class name, got {template!r}")


def write_prompts(template: str, names: Iterable[str]) -> tuple[str, ...]:
    """One text a name, in order; underscores of names become spaces."""
    check_template(template)
    return tuple(template.replace("{}", name.replace("_", " ")) for name in names)
