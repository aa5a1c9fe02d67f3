"""A page a command, written by click itself: usage, description, arguments and options with their defaults."""

import html
import inspect
import re

import click

from headroles.cli.main import group
from made.page import Page, table

_BRACKETS = re.compile(r"  \[(.+?)\](?=  \[|$)")
"""What click puts behind an option's help: default, bounds, whether it must be given."""


def make_commands() -> list[Page]:
    """The list of commands and a page each."""
    root = click.Context(group, info_name="headroles")
    names = group.list_commands(root)
    commands = {name: group.get_command(root, name) for name in names}
    rows = [[f"[`headroles {name}`]({name}.md)", commands[name].get_short_help_str(200)] for name in names]
    intro = "Written by the commands themselves; `headroles COMMAND --help` prints the same in a terminal."
    index = f"# Commands\n\n{_prose(group.help)}\n\n{intro}\n\n{table(['Command', 'What it does'], rows)}"
    pages = [Page(f"reference/commands/{name}.md", _page(name, command, root)) for name, command in commands.items()]
    return [Page("reference/commands/index.md", index), *pages]


def _page(name: str, command: click.Command, root: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=root)
    parts = [f"# headroles {name}", f"```text\n{' '.join(command.get_usage(context).split())}\n```"]
    parts.append(_prose(command.help or ""))
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}
    sections = dict(getattr(command, "sections", {}))
    claimed = {option for names in sections.values() for option in names}
    sections["Other options" if sections else "Options"] = [option for option in options if option not in claimed]
    for title, names in sections.items():
        rows = [_row(options[option], context) for option in names if option in options]
        if rows:
            parts.append(f"## {title}\n\n{table(['Option', 'Meaning', 'Default'], rows)}")
    if command.epilog:
        parts.append(_prose(command.epilog))
    return "\n\n".join(parts) + "\n"


def _row(option: click.Option, context: click.Context) -> list[str]:
    names, meaning = option.get_help_record(context) or ("", "")
    extras = [part for brackets in _BRACKETS.findall(meaning) for part in brackets.split("; ")]
    default = next((part.removeprefix("default: ") for part in extras if part.startswith("default: ")), "")
    rest = [part for part in extras if not part.startswith("default: ")]
    note = f" ({'; '.join(rest)})" if rest else ""
    meaning = _BRACKETS.sub("", meaning)
    names = names.replace(" RANGE", "")
    return [f"<code>{html.escape(names)}</code>", html.escape(meaning + note), html.escape(default)]


def _prose(text: str) -> str:
    r"""Help as Markdown: click's \b marks a block that keeps its lines."""
    parts = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.lstrip().startswith("\b"):
            parts.append("```text\n" + block.lstrip().removeprefix("\b").strip("\n") + "\n```")
        else:
            parts.append(html.escape(block, quote=False))
    return "\n\n".join(parts)
