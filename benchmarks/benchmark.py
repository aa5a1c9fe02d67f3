"""`@benchmark()` makes a command: help by -h too, and a wrong choice is one line, as `headroles` says it."""

from functools import partial
from typing import Any

import click

from headroles.errors import InputError


class _Benchmark(click.Command):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise click.UsageError(str(error), ctx) from None


benchmark = partial(click.command, cls=_Benchmark, context_settings={"help_option_names": ["-h", "--help"]})
