"""`headroles help`."""

from __future__ import annotations

from importlib import resources

import click


@click.command()
@click.argument("topic", required=False)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Say more about a refusal, or about a command.

    TOPIC is what a message names at its end in brackets, or a command; without it the topics are listed.
    """
    pages = read_pages()
    if topic in pages:
        click.echo(pages[topic].rstrip())
        return
    found = _find_command(context.parent, topic) if context.parent and topic else None
    if found:
        with click.Context(found, info_name=topic, parent=context.parent) as inner:
            click.echo(found.get_help(inner))
        return
    if topic:
        raise click.BadParameter(f"must be a command or one of {', '.join(pages)}, got {topic!r}", param_hint="TOPIC")
    wide = max(map(len, pages))
    for slug, text in pages.items():
        click.echo(f"{slug:<{wide}}  {title(text)}")


def _find_command(context: click.Context, name: str) -> click.Command | None:
    return context.command.get_command(context, name) if isinstance(context.command, click.Group) else None


def read_pages() -> dict[str, str]:
    """Slug -> Markdown of the pages about refusals, as `InputError.page` names them; by slug."""
    folder = resources.files("headroles.cli") / "pages"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return {file.name.removesuffix(".md"): file.read_text(encoding="utf-8") for file in files}


def title(page: str) -> str:
    """The first heading of a page."""
    return page.partition("\n")[0].lstrip("# ")
