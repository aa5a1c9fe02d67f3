"""`--activation`, of every command that loads a checkpoint."""

from __future__ import annotations

import click

from headroles.cli.options import choices
from headroles.cli.options.kinds import Choice

activation_option = click.option(
    "--activation", type=Choice(choices.ACTIVATIONS),
    help="For a weights file that does not say its own.",
)  # fmt: skip
