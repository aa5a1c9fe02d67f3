"""`headroles attend`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.heads import head_options
from headroles.cli.options.kinds import Model
from headroles.cli.options.output import check_new, output_options
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.sections import SectionedCommand
from headroles.files.json_files import dump_json


def _once(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    """One text, as every map is of one."""
    if len(given) > 1:
        raise click.BadParameter(f"one text a figure, got {len(given)}; run it again for the others", param=option)
    return given[0] if given else None


_SECTIONS = {
    "Images and model": ("images", "model", "max_pixels"),
    "Which heads": ("heads", "concept", "any_role", "every"),
    "What is drawn": ("text", "attention", "masks", "own_scales", "drawn"),
    "How it runs": ("device", "batch", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "as_json"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@click.option(
    "--image", "images", type=click.Path(path_type=Path), multiple=True, required=True,
    help="Image file, or folder, of which broken images are left out; may be given again.",
)  # fmt: skip
@head_options()
@click.option("--all", "every", is_flag=True, help="Every Attribute head.")
@click.option("--text", multiple=True, callback=_once, help="Text to look for; default: each head's own first text.")
@click.option("--attention", is_flag=True, help="Draw the plain attention of CLS instead of what it adds to the text.")
@click.option(
    "--masks", type=click.Path(path_type=Path),
    help="Folder of PNG masks named as the images: how well do the maps find what they show?",
)  # fmt: skip
@click.option("--own-scales", is_flag=True, help="Draw every head on a scale of its own instead of one for all.")
@click.option("--model", type=Model(), help="Name, folder or hub id; default: the role map's.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@pixels_option
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images a forward.")
@click.option(
    "--draw", "drawn", type=click.IntRange(min=1), default=12, show_default=True,
    help="Images in the figure, the first ones; numbers are of all.",
)  # fmt: skip
@output_options("File, .png, .svg or .pdf; default: attend.png by the role map.")
@click.option("--json", "as_json", is_flag=True, help="Numbers, and what was left out, as JSON; figure with --output.")
@dry_run_option
@ablation_options
def command(
    role_map: Path,
    images: tuple[Path, ...],
    attention: bool,
    own_scales: bool,
    drawn: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Where do heads look? Draw what every patch adds to a head's part of the embedding, along a text.

    The parts are exact: with CLS's own they sum to the head's contribution.
    """
    from headroles.figures.files import check_suffix, write_figure
    from headroles.uses.attend import attend

    path = output or (None if as_json else role_map.with_name("attend.png"))
    if path:
        check_suffix(path)
        check_new(path, overwrite=overwrite)
    found = attend(role_map, images, attention=attention, **given)
    if path:
        first = replace(found, images=found.images[:drawn])
        write_figure(first.plot("attention" if attention else "contribution", own_scales=own_scales), path)
    if as_json:
        broken = [{"image": name, "error": error} for name, error in found.broken.items()]
        scores = [asdict(score) for score in found.scores]
        click.echo(dump_json([*found.to_rows(), *broken, *scores], indent=2, ensure_ascii=False))
        return
    for row in found.to_rows():
        click.echo(f"{row['image']}  {row['head']} {row['concept']}  {_describe(row)}")
    for score in found.scores:
        click.echo(str(score))
    few = f" (the first {drawn} of {len(found.images)} images; more with --draw)" if len(found.images) > drawn else ""
    click.echo(f"wrote {path}{few}")


def _describe(row: dict[str, Any]) -> str:
    if "contribution" not in row:
        return f"attention to CLS {row['attention_to_cls']:.2f}"
    return f"{row['text']!r}: {row['contribution']:+.4f} of cosine {row['cosine']:+.4f}"
