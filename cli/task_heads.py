"""`headroles task-heads`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options.kinds import Model, RoleMapFile, Task
from headroles.cli.options.output import check_new
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand

_SECTIONS = {
    "Model and task": ("model", "role_map", "concepts", "root", "template", "strict", "max_pixels"),
    "What is measured": ("images", "tolerance", "seed"),
    "Trained beside it": ("learn", "shots"),
    "How it runs": ("device",),
    "Results": ("output", "figure", "overwrite", "as_json"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("task", type=Task(), default="shapes:turned")
@click.option("--model", type=Model(), default="shapes", show_default=True, help="Name, folder or hub id of a CLIP.")
@click.option("--role-map", type=RoleMapFile(), help="File or folder.  [default: as adapt finds one]")
@click.option("--concepts", help="What the task's classes differ in, such as color,shape; built-in tasks know it.")
@click.option("--learn", default="", help="Train beside it, some of: ltv,head-purification,talo.  [default: none]")
@click.option("--images", default=256, show_default=True, help="Training images that heads are cut on, at most.")
@click.option("--shots", default=16, show_default=True, help="Images a class of what is trained.")
@click.option("--tolerance", default=0.05, show_default=True, help="Nats of margin that a free head may cost.")
@click.option("--seed", default=1, show_default=True, help="Of images, bootstrap and trainings.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that TASK names.")
@click.option("--template", help="Prompt with {} for the class, in place of the task's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@pixels_option
@click.option("--strict", is_flag=True, help="Refuse broken images instead of leaving them out.")
@click.option("--output", type=click.Path(path_type=Path), help="Also write all of it: .json, or .csv a row a head.")
@click.option("--figure", type=click.Path(path_type=Path), help="Also draw the heads: .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace the files of --output and --figure.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    task: str,
    concepts: str | None,
    learn: str,
    output: Path | None,
    figure: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Which heads does a task use, and which may be touched? Cut each head on the task's training images.

    TASK is whatever `headroles adapt` takes. Every scored head is needed, harmful, free or unclear; then the rank
    correlation of what the task uses with what the role map says of the concepts that it asks for.
    """
    from headroles.adapt.uses.task_heads import task_heads
    from headroles.figures.files import check_suffix, write_figure

    if figure:
        check_suffix(figure)
    _check_table(output)
    files = [path for path in (output, figure) if path]
    for path in files:
        check_new(path, overwrite=overwrite)
    asked = None if concepts is None else _split(concepts)
    found = task_heads(task=task, concepts=asked, learn=_split(learn), **given)
    if output:
        found.save(output)
    if figure:
        write_figure(found.plot(), figure)
    click.echo(found.to_json() if as_json else found.to_table())
    for path in files:
        click.echo(f"wrote {path}", err=as_json)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_table(path: Path | None) -> None:
    from headroles.errors import InputError
    from headroles.files.documents import SUFFIXES

    if path and path.suffix not in SUFFIXES:
        raise InputError(f"output: must end in {' or '.join(SUFFIXES)}, got {path.name}")
