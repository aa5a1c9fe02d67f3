"""`headroles validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.running import running_options

if TYPE_CHECKING:
    from headroles.causal.validation import Validation


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option("--model", help="Name, folder, file or hub id; default: the role map's.")
@click.option(
    "--images",
    help="Labelled images: shapes, a folder CONCEPT/VALUE/ or VALUE/, or a CSV file; default: shapes for that model.",
)
@click.option("--count", type=click.IntRange(min=2), help="Images to use; default: 2000 scenes, or all files.")
@click.option("--template", help='Prompt with {} for a value; default: "a photo of {}."; scenes have their own.')
@click.option("--concepts", help="Labelled concepts to use, separated by commas; default: all.")
@click.option("--effect", help="direct (default): the heads' own part of the embedding; total: through later layers.")
@click.option("--mode", help="What stands in for a cut head: mean (default), zero or resample.")
@click.option("--draws", type=int, help="Matched random sets a concept; default: 100.")
@click.option("--bootstraps", type=int, help="Resamples of image blocks; default: 1000.")
@click.option("--seed", default=1, show_default=True, help="Of scenes, random sets and resamples.")
@running_options
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default: that of the role map.")
@click.option("--overwrite", is_flag=True, help="Replace a validation that is already in the output folder.")
@ablation_options
def command(
    role_map: Path,
    model: str | None,
    images: str | None,
    count: int | None,
    template: str | None,
    device: str,
    batch: int,
    workers: int,
    output: Path | None,
    overwrite: bool,
    **settings: object,
) -> None:
    """Cut the heads of every concept: does it die with them, and it alone?

    Cuts the Attribute heads of each concept in ROLE_MAP, and every scored head alone, and measures on labelled images
    what each concept loses, beside matched random heads and Generalization heads. Writes validation.json and
    validation.csv.
    """
    from headroles.causal.validate_run import FILES, open_run, write_validation
    from headroles.cli.adapt import split_names
    from headroles.jobs.output import check_free, results_folder
    from headroles.roles.role_map import RoleMap

    scored = RoleMap.load(role_map)
    output = output or role_map.parent
    if not overwrite:
        check_free(*(output / name for name in FILES))
    if settings["concepts"]:
        settings["concepts"] = split_names(settings["concepts"])
    given = {name: value for name, value in settings.items() if value is not None}
    run = open_run(scored, model, images, count, given, template, device)
    label = f"{run.images.name} -> {run.model.model_name}"
    with results_folder(output), click.progressbar(length=len(run.images), label=label) as bar:
        validation = run.validate(batch=batch, workers=workers, progress=lambda done, _: bar.update(done - bar.pos))
        write_validation(validation, output)
    _report(validation, output)


def _report(validation: Validation, output: Path) -> None:
    """The matrix, what stands against it, and what to type next."""
    from headroles.causal.validation import to_table

    if validation.images.broken:
        names = ", ".join(validation.images.broken[:5]) + (" ..." if len(validation.images.broken) > 5 else "")
        click.echo(f"left out {len(validation.images.broken)} broken image files: {names}", err=True)
    click.echo(to_table(validation))
    click.echo(f"wrote {output}/validation.json, validation.csv")
    click.echo(f"next: headroles plot {output}/validation.json")
