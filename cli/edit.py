"""`headroles edit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.kinds import Choice, Concept, Heads, Images, Model, RoleMapFile
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand
from headroles.cli.options.stopped import typed

_SECTIONS = {
    "Which heads": ("heads", "damp", "any_role", "role_map", "tower"),
    "What becomes of them": ("factor", "keep_mean", "count", "seed", "max_pixels"),
    "How it runs": ("device", "batch", "workers", "dry_run"),
    "Results": ("output", "as_json"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("model", type=Model())
@click.option("--heads", type=Heads(), help="Heads, and directions of heads, to scale, such as L6.H3,L7.H0.D0-2.")
@click.option(
    "--damp", type=Concept(), metavar="CONCEPT", help="Scale what speaks of this concept in --role-map instead."
)
@click.option("--any-role", is_flag=True, help="With --damp: of Mixed and Generalization heads too.")
@click.option("--factor", type=float, default=0.0, show_default=True, help="0 takes out, above 1 strengthens.")
@click.option("--role-map", type=RoleMapFile(), help="Role map of the model, or its folder.")
@click.option(
    "--keep-mean", type=Images("shapes"), metavar="IMAGES",
    help="Keep what they write on average over this folder, or shapes.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), default=500, show_default=True, help="With --keep-mean: images.")
@click.option("--seed", type=click.IntRange(min=0), default=2, show_default=True, help="With --keep-mean: of scenes.")
@click.option("--tower", type=Choice(choices.TOWERS), default="visual", show_default=True, help="Whose heads.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="New folder; nothing is overwritten.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@running_options
@pixels_option
@dry_run_option
def command(model: str, output: Path, as_json: bool, **given: Any) -> None:
    """Write a checkpoint whose heads, or directions of heads, are scaled in the weights: no cost afterwards.

    MODEL is a name, folder, file or hub id. The copy has its layout, tokenizer and preprocessing, and loads without
    headroles. With --damp and a role map by weights, the directions that write the concept are scaled; else its heads.
    """
    from headroles.uses.edit import edit

    edited = edit(model, output, **given)
    if as_json:
        click.echo(edited.to_json(), nl=False)
        return
    click.echo(edited.to_text())
    click.echo(f"wrote {output}")
    click.echo("next: " + typed("diff", model, output, *(["--tower", "text"] if edited.tower == "text" else [])))
