"""The command lines that make a result again, from the settings that it carries."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headroles.causal.validation import Validation
    from headroles.reports.adaptation import Adaptation
    from headroles.reports.report import Report
    from headroles.roles.role_map import RoleMap


def command_lines(report: Report, path: Path) -> tuple[str, ...]:
    """score of one map or two, validate, adapt for every adapter, and the command that runs now.

    Folders of images by name alone; `path` is the file of the report's role map.
    """
    return (
        *_score_lines(report, path),
        *validate_lines(report.validation, path),
        *(adapt_line(run) for run in report.adaptations),
        shlex.join(["headroles", *sys.argv[1:]]),
    )


def _score_lines(report: Report, path: Path) -> list[str]:
    """Of the report's role map, and of the one beside it, each into a folder of its own."""
    if report.against is None:
        return [score_line(report.role_map)]
    given = Path(click.get_current_context().params["against"])
    other = given if given.suffix != ".json" else given.parent
    return [score_line(report.role_map, path.parent), score_line(report.against, other)]


def score_line(role_map: RoleMap, output: Path | None = None) -> str:
    """`headroles score` with every setting of a role map."""
    from headroles.cli.score import command

    count = role_map.images.count + len(role_map.images.broken)
    by = {"text": "texts", "image": "images"}.get(role_map.probe_kind, role_map.probe_kind)
    given = {"model": role_map.model.name, "by": by, **role_map.settings}
    given |= {"tower": "text" if role_map.tower == "text" else None}
    if role_map.tower == "text":
        own = role_map.images.source == role_map.bank.name
        given |= {"texts": role_map.images.source} if count and not own else {}
    else:
        given |= {"images": role_map.images.source, "count": count} if count else {}
    given |= {} if by == "images" else {"probes": role_map.bank.name}
    return _line("score", command, given | {"output": output})


def validate_lines(validation: Validation | None, path: Path) -> list[str]:
    """`headroles validate` with every setting of a validation, if there is one."""
    if validation is None:
        return []
    from headroles.cli.validate import command

    images = {"images": validation.images.source, "count": validation.images.count + len(validation.images.broken)}
    given = {"role_map": path, "model": validation.model.name, **images, **validation.settings}
    return [_line("validate", command, given)]


def adapt_line(run: Adaptation) -> str:
    """`headroles adapt` with every setting of an adapter."""
    from headroles.cli.adapt import command
    from headroles.cli.options.settings import write_setting

    settings = run.settings
    method = settings["peft_type"].lower()
    own, usual = _find_settings(settings, method)
    options = {option.name for option in command.params}
    names = {name: ",".join(settings[name]) or None for name in ("targets", "retention")}
    given = {
        "model": settings["base_model_name_or_path"],
        "method": method,
        "role_map": run.role_map if settings["role_map_sha256"] else None,
        "task": settings["task"],
        "template": settings["template"],
        "protocol": settings["protocol"],
        "shots": ",".join(str(each or "all") for each in run.shots or (settings["shots"],)),
        "seeds": ",".join(map(str, run.seeds)),
        **names,
        **own,
    }
    rest = {name: value for name, value in own.items() if name not in options and value != usual[name]}
    assigned = [word for name, value in rest.items() for word in ("--set", f"{name}={write_setting(value)}")]
    return _line("adapt", command, given) + "".join(f" {shlex.quote(word)}" for word in assigned)


def _find_settings(settings: Mapping[str, Any], method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting of an adapter's method and of its steps, if it took any, and what they are where none is given."""
    from headroles.adapt.config import TrainConfig
    from headroles.adapt.methods.registry import METHODS

    kind = METHODS[method]
    train, usual = (dataclasses.asdict(TrainConfig(**each)) for each in (settings["train"], kind.preset))
    if not kind.steps:
        return settings[method], kind.settings().to_dict()
    return {**settings[method], **train}, {**kind.settings().to_dict(), **usual, "seed": train["seed"]}


def _line(name: str, command: click.Command, given: Mapping[str, Any]) -> str:
    """The command with those of the given settings that are options of it and not their defaults."""
    words = ["headroles", name]
    for option in command.params:
        value = given.get(option.name)
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if value is None or str(value) == str(option.default):
            continue
        if isinstance(option, click.Argument):
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(option.opts[0] if value else option.secondary_opts[0] if option.secondary_opts else "")
        else:
            words += [option.opts[0], str(value)]
    return shlex.join(word for word in words if word)
