"""`headroles report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option("--validation", type=click.Path(path_type=Path), help="validation.json of `headroles validate`.")
@click.option(
    "--run", "runs", type=click.Path(path_type=Path), multiple=True, help="Adapter folder; give it again for more."
)
@click.option(
    "--images",
    help="Folder of images to show heads at work on, shapes for rendered scenes, or none.  [default: shapes for the "
    "bundled model, else none]",
)
@click.option("--output", type=click.Path(path_type=Path), help="File, .html; default: report.html beside ROLE_MAP.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def command(role_map: Path, validation: Path | None, runs: tuple[Path, ...], images: str | None, output: Path | None, overwrite: bool) -> None:
    """Write one HTML page about a role map: every head to point at, filters, evidence, settings.

    The page needs no network and no other file; it opens from a disk, prints, and can be sent by mail.
    """
    from headroles.adapt.report import read_adaptation
    from headroles.cli.reproduce import command_lines
    from headroles.output import check_free
    from headroles.report import Report
    from headroles.role_map import RoleMap
    from headroles.validation import Validation

    if role_map.is_dir():
        role_map = role_map / "role_map.json"
    path = output or role_map.with_name("report.html")
    if not overwrite:
        check_free(path)
    scored = RoleMap.load(role_map)
    tested = Validation.load(validation) if validation else None
    adaptations = tuple(read_adaptation(run) for run in runs)
    report = Report(scored, tested, adaptations, command_lines(scored, adaptations))
    report.save(path)
    click.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
