"""The option that lets a role map be judged by the images that it was scored on."""

from __future__ import annotations

import click

overlap_option = click.option(
    "--allow-overlap", is_flag=True, help="Judge by images that the role map was scored on, too; the result says so."
)
