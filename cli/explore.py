"""`headroles explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.kinds import Images, Model, RoleMapFile
from headroles.cli.options.names import split_names
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand

_SECTIONS = {
    "What is shown": ("images", "count", "seed", "classes", "against", "max_pixels"),
    "The page": ("port", "no_browser"),
    "How it runs": ("model", "device", "batch", "workers", "dry_run"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@click.option(
    "--images", type=Images("shapes"),
    help="Folder of images, labelled (CONCEPT/VALUE/) or not, a CSV file, or shapes for rendered scenes.  [default: "
    "shapes for a bundled model]",
)  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True, help="Images at most.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of scenes.")
@click.option(
    "--classes",
    help="Names to tell images among, to begin with: a,b,c, or @FILE, one a line.  [default: the labels' values, or "
    "texts of the role map]",
)
@click.option("--against", type=RoleMapFile(), help="Another role map, or its folder, to show side by side.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8350, show_default=True, help="Port of the page; 0: a free one."
)
@click.option("--no-browser", is_flag=True, help="Only print the address, open no browser.")
@click.option("--model", type=Model(), help="Name, folder or hub id; default: the role map's.")
@running_options
@pixels_option
@dry_run_option
def command(role_map: Path, images: str | None, classes: str | None, no_browser: bool, **given: Any) -> None:
    """Play with heads on a page of this machine: point, cut, ask, and see what the model says then.

    Click a head for its texts and the images on which it writes most; type a text to rank heads by what they write
    along it; cut or scale heads and watch the zero-shot answer change; drop in an image of your own. Nobody but this
    machine reaches the page, and nothing leaves it. Ctrl-C ends it.
    """
    from headroles.explore.local import serve

    names = None if classes is None else split_names(classes)
    serve(role_map, images, browser=not no_browser, ready=_say, classes=names, **given)
    click.echo("\nclosed", err=True)  # A terminal has put ^C on the line.


def _say(address: str) -> None:
    click.echo(f"{address}  (Ctrl-C ends it)")
