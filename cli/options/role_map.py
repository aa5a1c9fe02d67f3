"""The argument that names a role map, the same in every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headroles.cli.options.kinds import RoleMapFile


def role_map_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ROLE_MAP to a command: a role map's file, or the folder that holds it; the command gets the file."""
    default = "headroles-output/role_map.json"
    return click.argument("role_map", type=RoleMapFile(), default=default)(command)
