"""`headroles report`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.kinds import AdapterFolder, Images, Model, RoleMapFile
from headroles.cli.options.output import output_options
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand

_SECTIONS = {
    "What is shown": ("validation", "runs", "against", "images", "count", "seed", "max_pixels"),
    "How it runs": ("model", "device", "batch", "workers", "dry_run"),
    "Results": ("output", "overwrite"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@click.option("--validation", type=click.Path(path_type=Path), help="validation.json of `headroles validate`.")
@click.option(
    "--run", "runs", type=AdapterFolder(several=True), multiple=True, help="Adapter folder; give it again for more."
)
@click.option("--against", type=RoleMapFile(), help="Another role map, or its folder, to show side by side.")
@click.option(
    "--images",
    type=Images("shapes", "none"),
    help="Folder of images to show heads at work on, shapes for rendered scenes, or none.  [default: shapes for the "
    "bundled model, else none]",
)
@click.option("--count", type=click.IntRange(min=2), default=500, show_default=True, help="Images to look through.")
@click.option("--seed", default=0, show_default=True, help="Seed of scenes and queries.")
@click.option("--model", type=Model(), help="Name, folder or hub id, if images are shown; default: the role map's.")
@running_options
@output_options("File, .html; default: report.html beside ROLE_MAP.", "the file if it exists")
@pixels_option
@dry_run_option
def command(
    role_map: Path,
    validation: Path | None,
    runs: tuple[Path, ...],
    images: str | None,
    output: Path | None,
    overwrite: bool,
    **given: Any,
) -> None:
    """Write one HTML page about a role map: every head to point at, filters, evidence, settings.

    The page needs no network and no other file; it opens from a disk, prints, and can be sent by mail. A folder of
    labelled images (CONCEPT/VALUE/, or a CSV file) also shows how often neighbours share a concept's value.
    """
    from headroles.cli.made_again import command_lines
    from headroles.reports.report import check_page, report

    path = output or role_map.with_name("report.html")
    check_page(path, overwrite)
    found = report(role_map, validation, runs, images, **given)
    dataclasses.replace(found, commands=command_lines(found, role_map)).save(path)
    click.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
