"""`headroles retrieve`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.running import running_options

if TYPE_CHECKING:
    from numpy import ndarray

    from headroles.roles.role_map import RoleMap


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option("--query", type=click.Path(path_type=Path), help="Image to search with.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder to search in, any depth.")
@click.option("--concept", help="By the Attribute heads of this concept.")
@click.option("--any-role", is_flag=True, help="With --concept: Mixed and Generalization heads too.")
@click.option("--all-heads", is_flag=True, help="With --concept: all scored heads, each times its P(concept).")
@click.option("--heads", help="By these heads, such as L6.H3,L7.*.")
@click.option("--top", type=click.IntRange(min=1), default=8, show_default=True, help="Neighbours.")
@click.option("--index", type=click.Path(path_type=Path), help="Folder of the index; default: beside the role map.")
@click.option("--precision", default="float16", show_default=True, help="Numbers of a new index: float16 or float32.")
@click.option("--no-rebuild", is_flag=True, help="Refuse a stale index instead of bringing it up to date.")
@click.option("--output", type=click.Path(path_type=Path), help="Also draw a contact sheet: .png, .svg or .pdf.")
@click.option("--overwrite", is_flag=True, help="Replace the file of --output.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--evaluate", help="Instead: precision on labelled images: shapes, CONCEPT/VALUE/ folders, or a CSV.")
@click.option("--k", type=click.IntRange(min=1), default=10, show_default=True, help="With --evaluate: neighbours.")
@click.option("--count", type=click.IntRange(min=2), help="With --evaluate: images; default: 2000 scenes, or all.")
@click.option("--seed", default=0, show_default=True, help="With --evaluate: of scenes and resamples.")
@click.option("--model", help="Name, folder or hub id; default: the role map's.")
@running_options
@ablation_options
def command(
    role_map: Path,
    query: Path | None,
    images: Path | None,
    concept: str | None,
    any_role: bool,
    all_heads: bool,
    heads: str | None,
    top: int,
    index: Path | None,
    precision: str,
    no_rebuild: bool,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    evaluate: str | None,
    k: int,
    count: int | None,
    seed: int,
    model: str | None,
    device: str,
    batch: int,
    workers: int,
) -> None:
    """Find images that some heads find alike, beside those that the whole embedding finds alike.

    The first search writes an index; later ones read no image of the folder. With --evaluate: how many of the first k
    neighbours share the query's value of each concept.
    """
    from headroles.roles.role_map import RoleMap

    scored = RoleMap.load(role_map)
    if evaluate:
        _evaluate(scored, evaluate, k, count, seed, model, device, batch, workers, as_json)
        return
    if query is None or images is None:
        raise click.UsageError("give --query IMAGE and --images FOLDER, or --evaluate")
    from headroles.heads.ablation import current_ablation
    from headroles.jobs.output import check_free, check_writable
    from headroles.uses.image_index_run import open_index
    from headroles.uses.retrieve import find_query, open_query, retrieve

    weights, title = _weights(scored, concept, heads, any_role, all_heads)
    if output:
        from headroles.figures.files import check_suffix

        check_suffix(output)
        if not overwrite:
            check_free(output)
        check_writable(output.parent)
    if not query.is_file():
        raise click.UsageError(f"query: there is no file {query}; give an image")
    if not query.resolve().is_relative_to(images.resolve()):
        open_query(query)  # A wrong one should say so before a folder is indexed for it.
    cut = current_ablation()
    if cut and index:
        raise click.UsageError("--index holds what the whole model says; with --ablate leave it out")
    key = f"{images.resolve()} {cut}" if cut else str(images.resolve())
    place = index or role_map.parent / f"index-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    opened = open_index(
        scored, images, place, model, device, query, precision=precision, rebuild=not no_rebuild, batch=batch,
        workers=workers, say=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    found = retrieve(opened.index, find_query(opened.index, query, images, opened.model), weights, top)
    if output:
        from headroles.figures.files import write_figure
        from headroles.figures.retrieve import contact_sheet

        write_figure(contact_sheet(found, query, images, title), output)
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps({"by": title, **dataclasses.asdict(found)}, indent=2, ensure_ascii=False))
        return
    click.echo(f"{found.query}, by {title} (parts centred over {len(opened.index):,} images) | by the whole embedding")
    for ours, whole in zip(found.by_heads, found.by_embedding, strict=True):
        click.echo(f"  {ours.score:6.3f}  {ours.name:<40} {whole.score:6.3f}  {whole.name}")
    if output:
        click.echo(f"wrote {output}")


def _weights(
    scored: RoleMap, concept: str | None, heads: str | None, any_role: bool, all_heads: bool
) -> tuple[ndarray, str]:
    """A weight a scored head, and what to call them."""
    from headroles.heads.names import head_list
    from headroles.roles.role_heads import choose_heads, concept_shares
    from headroles.uses.retrieve import head_weights

    if all_heads:
        if concept is None or heads is not None:
            raise click.UsageError("--all-heads weighs every head by P(concept): give --concept, and no --heads")
        return concept_shares(scored, concept), f"all heads by P({concept})"
    chosen = choose_heads(scored, heads, concept, any_role)
    names = head_list((head.layer, head.head) for head in chosen)
    return head_weights(scored, chosen), f"{concept} ({names})" if concept else names


def _evaluate(
    scored: RoleMap,
    source: str,
    k: int,
    count: int | None,
    seed: int,
    model: str | None,
    device: str,
    batch: int,
    workers: int,
    as_json: bool,
) -> None:
    from headroles.images.labelled import open_labelled
    from headroles.models.load import load
    from headroles.roles.role_heads import check_model
    from headroles.uses.precision_at_k import precision_rows, to_table

    clip = load(model or scored.model.name, device)
    check_model(scored, clip)
    labelled = open_labelled(source, clip.processor, count, seed)
    rows = precision_rows(clip, scored, labelled, k, seed=seed, batch=batch, workers=workers)
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        click.echo(to_table(rows, k, labelled.name, len(labelled)))
