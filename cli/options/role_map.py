"""The argument that names a role map, the same in every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _find(context: click.Context, argument: click.Parameter, path: Path) -> Path:
    return path / "role_map.json" if path.is_dir() else path


def role_map_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ROLE_MAP to a command: a role map's file, or the folder that holds it; the command gets the file."""
    default = "headroles-output/role_map.json"
    return click.argument("role_map", type=click.Path(path_type=Path), default=default, callback=_find)(command)
