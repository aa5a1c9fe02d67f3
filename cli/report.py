"""`headroles report`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from headroles.cli.options.running import running_options


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
@click.option("--count", type=click.IntRange(min=2), default=500, show_default=True, help="Images to look through.")
@click.option("--seed", default=0, show_default=True, help="Seed of scenes and queries.")
@click.option("--model", help="Name, folder or hub id, if images are shown; default: the role map's.")
@running_options
@click.option("--output", type=click.Path(path_type=Path), help="File, .html; default: report.html beside ROLE_MAP.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def command(
    role_map: Path,
    validation: Path | None,
    runs: tuple[Path, ...],
    images: str | None,
    count: int,
    seed: int,
    model: str | None,
    device: str,
    batch: int,
    workers: int,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Write one HTML page about a role map: every head to point at, filters, evidence, settings.

    The page needs no network and no other file; it opens from a disk, prints, and can be sent by mail. A folder of
    labelled images (CONCEPT/VALUE/, or a CSV file) also shows how often neighbours share a concept's value.
    """
    from headroles.adapt.results.report import read_adaptation
    from headroles.causal.validation import Validation
    from headroles.cli.reproduce import command_lines
    from headroles.reports.report import Report, check_page
    from headroles.roles.role_map import RoleMap

    if role_map.is_dir():
        role_map = role_map / "role_map.json"
    path = output or role_map.with_name("report.html")
    check_page(path, overwrite)
    scored = RoleMap.load(role_map)
    tested = Validation.load(validation) if validation else None
    adaptations = tuple(read_adaptation(run) for run in runs)
    report = Report(scored, tested, None, adaptations, command_lines(scored, role_map, tested, adaptations))
    source = images or ("shapes" if scored.model.name == "shapes" else "none")
    if source != "none":
        from headroles.models.load import load
        from headroles.reports.illustrations import illustrate, open_images

        clip = load(model or scored.model.name, device)
        found = illustrate(
            clip, scored, open_images(source, clip, count, seed), seed=seed, batch=batch, workers=workers
        )
        report = dataclasses.replace(report, illustrations=found)
    report.save(path)
    click.echo(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
