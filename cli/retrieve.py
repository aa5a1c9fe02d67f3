"""`headroles retrieve`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.bars import say
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.groups import groups_option
from headroles.cli.options.heads import head_options
from headroles.cli.options.kinds import Choice, Images, Model
from headroles.cli.options.modes import refuse_idle
from headroles.cli.options.output import check_new, output_options
from headroles.cli.options.overlap import overlap_option
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand
from headroles.files.json_files import dump_json

_RUNNING = ("model", "device", "batch", "workers")
_EVALUATING = ("k", "count", "seed", "groups", "allow_overlap")
_SEARCHING = ("query", "images", "concept", "heads", "all_heads", "top", "index", "precision", "no_rebuild", "output")


_SECTIONS = {
    "Search": ("query", "images", "top", "index", "precision", "no_rebuild"),
    "Which heads": ("heads", "concept", "any_role", "all_heads"),
    "Precision on labelled images, instead": ("evaluate", "k", "count", "seed", "groups", "allow_overlap"),
    "How it runs": ("model", "device", "batch", "workers", "max_pixels", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "as_json"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@click.option("--query", type=click.Path(path_type=Path), help="Image to search with.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder to search in, any depth.")
@head_options("By")
@click.option("--all-heads", is_flag=True, help="With --concept: all scored heads, each times its P(concept).")
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Neighbours.")
@click.option("--index", type=click.Path(path_type=Path), help="Folder of the index; default: beside the role map.")
@click.option("--precision", type=Choice(choices.NUMBERS), default="float16", show_default=True, help="Of a new index.")
@click.option("--no-rebuild", is_flag=True, help="Refuse a stale index instead of bringing it up to date.")
@output_options("Also draw a contact sheet: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--evaluate", type=Images("shapes"),
    help="Instead: precision on labelled images: shapes, CONCEPT/VALUE/ folders, or a CSV.",
)  # fmt: skip
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="With --evaluate: neighbours.")
@click.option("--count", type=click.IntRange(min=2), help="With --evaluate: images; default: 2000 scenes, or all.")
@click.option("--seed", default=1, show_default=True, help="With --evaluate: of scenes and resamples.")
@groups_option
@overlap_option
@click.option("--model", type=Model(), help="Name, folder or hub id; default: the role map's.")
@running_options
@pixels_option
@dry_run_option
@ablation_options
@click.pass_context
def command(context: click.Context, role_map: Path, evaluate: str | None, as_json: bool, **given: Any) -> None:
    """Find images that some heads find alike, beside those that the whole embedding finds alike.

    The first search writes an index; later ones read no image of the folder. With --evaluate: how many of the first k
    neighbours share the query's value of each concept.
    """
    evaluating = {name: given.pop(name) for name in _EVALUATING}
    refuse_idle(context, *((_SEARCHING, "with --evaluate") if evaluate else (_EVALUATING, "without --evaluate")))
    if evaluate:
        running = {name: given[name] for name in _RUNNING}
        _evaluate(role_map, evaluate, as_json, **evaluating, **running)
    elif given["query"] is None or given["images"] is None:
        raise click.UsageError("give --query IMAGE and --images FOLDER, or --evaluate")
    else:
        _search(role_map, as_json, **given)


def _search(
    role_map: Path, as_json: bool, output: Path | None, overwrite: bool, no_rebuild: bool, **given: Any
) -> None:
    from headroles.uses.retrieve import retrieve

    if output:
        from headroles.figures.files import check_suffix

        check_suffix(output)
        check_new(output, overwrite=overwrite)
    found = retrieve(role_map, **given, rebuild=not no_rebuild, say=say)
    if output:
        from headroles.figures.files import write_figure

        write_figure(found.plot(), output)
    if as_json:
        answer = {name: found.to_dict()[name] for name in ("by", "query", "by_heads", "by_embedding")}
        click.echo(dump_json(answer, indent=2, ensure_ascii=False))
        return
    click.echo(found.to_text())
    if output:
        click.echo(f"wrote {output}")


def _evaluate(role_map: Path, source: str, as_json: bool, **given: Any) -> None:
    from headroles.uses.precision_at_k import precision_at_k

    found = precision_at_k(role_map, source, **given)
    rows = [dataclasses.asdict(row) for row in found.rows]
    click.echo(dump_json(rows, indent=2) if as_json else found.to_text())
