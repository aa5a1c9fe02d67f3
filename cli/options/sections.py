"""Help in sections: the options of a large command under a few titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedCommand(click.Command):
    """A command whose help shows its options below titles; those that no title claims come last."""

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        records = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        claimed = {name for names in self.sections.values() for name in names}
        others = {"Other options": [name for name in records if name not in claimed]}
        for title, names in {**self.sections, **others}.items():
            rows = [record for name in names if (record := records[name])]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
