"""`headroles attend`."""

from __future__ import annotations

from pathlib import Path

import click

from headroles.cli.options.ablation import ablation_options


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option(
    "--image", "images", type=click.Path(path_type=Path), multiple=True, required=True,
    help="Image file or folder; may be given again.",
)  # fmt: skip
@click.option("--heads", help="Heads, such as L6.H3,L7.*.")
@click.option("--concept", help="The Attribute heads of this concept.")
@click.option("--any-role", is_flag=True, help="With --concept: Mixed and Generalization heads too.")
@click.option("--all", "every", is_flag=True, help="Every Attribute head.")
@click.option("--text", help="Text to look for; default: each head's own first text.")
@click.option("--attention", is_flag=True, help="Draw the plain attention of CLS instead of what it adds to the text.")
@click.option("--own-scales", is_flag=True, help="Draw every head on a scale of its own instead of one for all.")
@click.option("--model", help="Name, folder or hub id; default: the role map's.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images a forward.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="File, .png, .svg or .pdf; default: attend.png by the role map."
)
@click.option("--overwrite", is_flag=True, help="Replace the file of --output.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; a figure only with --output.")
@ablation_options
def command(
    role_map: Path,
    images: tuple[Path, ...],
    heads: str | None,
    concept: str | None,
    any_role: bool,
    every: bool,
    text: str | None,
    attention: bool,
    own_scales: bool,
    model: str | None,
    device: str,
    batch: int,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Where do heads look? Draw what every patch adds to a head's part of the embedding, along a text.

    The parts are exact: with CLS's own they sum to the head's contribution.
    """
    from headroles.figures.attend import attend_figure
    from headroles.figures.files import check_suffix, write_figure
    from headroles.heads.ablation import current_ablation
    from headroles.heads.names import parse_heads
    from headroles.images.images import open_files
    from headroles.jobs.output import check_free
    from headroles.models.load import load
    from headroles.roles.role_heads import attribute_heads, check_model, choose_heads
    from headroles.roles.role_map import RoleMap
    from headroles.uses.attend import attend_images, describe, directions_of

    if every and (heads or concept):
        raise click.UsageError("--all draws every Attribute head; leave out --heads and --concept")
    scored = RoleMap.load(role_map)
    chosen = attribute_heads(scored) if every else choose_heads(scored, heads, concept, any_role)
    cut = current_ablation()
    gone = parse_heads(cut["heads"], scored.model.layers, scored.model.heads) if cut else ()
    if {(head.layer, head.head) for head in chosen} & set(gone):
        raise click.UsageError("a head that --ablate cuts looks nowhere; choose others")
    path = output or (None if as_json else role_map.with_name("attend.png"))
    if path:
        check_suffix(path)
        if not overwrite:
            check_free(path)
    clip = load(model or scored.model.name, device)
    check_model(scored, clip)
    texts, directions = directions_of(clip, chosen, text)
    found = attend_images(clip, open_files(images, clip.processor), chosen, directions, batch)
    if path:
        quantity = "attention" if attention else "contribution"
        write_figure(attend_figure(found, chosen, texts, clip.processor, quantity, own_scales), path)
    if as_json:
        import json

        click.echo(json.dumps(describe(found, chosen, texts), indent=2, ensure_ascii=False))
        return
    for row in describe(found, chosen, texts):
        share = f"{row['contribution']:+.4f} of cosine {row['cosine']:+.4f}"
        click.echo(f"{row['image']}  {row['head']} {row['concept']}  {row['text']!r}: {share}")
    click.echo(f"wrote {path}")
