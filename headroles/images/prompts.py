"""Prompts: a template and names of classes to texts, one or several a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headroles.errors import InputError

TEMPLATE = "a photo of a {}."
"""The prompt where nothing else is known."""
TAB = "\t"


def check_template(template: str) -> None:
    """InputError for what is no template: lines with one {} for the name, or of a name and its own texts."""
    read_template(template)


def write_prompts(template: str, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The texts of every name, in order, underscores of names as spaces; InputError for a name without a text.

    Each line of a template that holds {} gives a text of every name. A line NAME<TAB>text<TAB>text... gives the name's
    own, in place of these.
    """
    templates, own = read_template(template)
    plain = [name.replace("_", " ") for name in names]
    prompts = tuple(own.get(name) or tuple(line.replace("{}", name) for line in templates) for name in plain)
    if () in prompts:
        raise InputError(f"template: {plain[prompts.index(())]!r} has no text; add a line with {{}} for all names")
    return prompts


def check_named(template: str, names: Iterable[str]) -> None:
    """InputError where a template has texts for a name that is none of these."""
    _, own = read_template(template)
    known = [name.replace("_", " ") for name in names]
    for name in own:
        if name not in known:
            raise InputError(f"template: it has texts for {name!r}, which is no class; classes: {', '.join(known)}")


def read_template(template: str) -> tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """The lines with {}, and name -> its own texts."""
    templates: list[str] = []
    own: dict[str, tuple[str, ...]] = {}
    for line in template.split("\n"):
        name, *texts = (part.strip() for part in line.split(TAB)) if TAB in line else (line,)
        if not texts and line.count("{}") == 1:
            templates.append(line)
        elif texts and name and all(texts) and name.replace("_", " ") not in own:
            own[name.replace("_", " ")] = tuple(texts)
        else:
            raise InputError(
                f"template: expected one {{}} for the class name, or NAME<TAB>text<TAB>text for one class, got {line!r}"
            )
    return tuple(templates), own
