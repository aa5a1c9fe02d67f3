"""`headroles score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headroles.role_map import RoleMap


@click.command()
@click.option("--model", default="shapes", show_default=True, help="Name, folder or hub id; see `headroles models`.")
@click.option("--images", default="shapes", show_default=True, help="Folder of images, or shapes for rendered scenes.")
@click.option(
    "--by",
    type=click.Choice(["texts", "images"]),
    default="texts",
    show_default=True,
    help="Describe heads by texts, or by images with labels: folder CONCEPT/VALUE/, CSV path,CONCEPT,... or shapes.",
)
@click.option("--count", type=click.IntRange(min=2), help="Images to use; default: 2000 scenes, or the whole folder.")
@click.option("--probes", help="Bank or CSV file; default: shapes for the bundled model, else general.")
@click.option(
    "--concepts",
    type=click.Choice(["bank", "discover"]),
    default="bank",
    show_default=True,
    help="The bank's concepts, or clusters of the texts that heads pick (the bank then needs texts alone).",
)
@click.option("--encoder", help="Sentence encoder of discover, folder or hub id; default: all-MiniLM-L6-v2.")
@click.option("--noise", help="Texts of discover without a cluster: nearest (default) or own (a concept other).")
@click.option("--min-cluster-size", type=int, help="Texts that make a cluster; default: a 30th, within 5 and 20.")
@click.option("--layers", default="deep", show_default=True, help="deep (last third), all, or 8-11, or 3,6-7.")
@click.option("--texts-per-head", type=int, help="Texts that describe a head (at most its width).")
@click.option("--weights", help="A text counts its share of variance, or 1: variance or count.")
@click.option("--selection", help="How TextSpan picks: std (original) or variance.")
@click.option("--roles-by", help="threshold (default), quantile or null.")
@click.option("--low", type=float, help="Attribute up to here (entropy, or quantile); default 0.5, by images 0.4.")
@click.option("--high", type=float, help="Generalization from here on; default 0.6.")
@click.option("--prior-correction/--no-prior-correction", default=None, help="Weigh concepts by their share of bank.")
@click.option("--center-texts/--no-center-texts", default=None, help="Take the bank's mean text off.")
@click.option("--permutations", type=int, help="Label shuffles of the null model.")
@click.option("--bootstraps", type=int, help="Resamples of image blocks.")
@click.option("--shares", help="By images: marginal (default), or unique: what no other concept explains.")
@click.option("--seed", default=0, show_default=True, help="Seed of scenes, shuffles and resamples.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Images a forward.")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes.")
@click.option("--strict", is_flag=True, help="Refuse broken image files instead of leaving them out.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="headroles-output", show_default=True, help="Folder."
)
@click.option("--overwrite", is_flag=True, help="Replace a role map that is already in the output folder.")
def command(
    model: str,
    images: str,
    by: str,
    count: int | None,
    probes: str | None,
    concepts: str,
    encoder: str | None,
    noise: str | None,
    min_cluster_size: int | None,
    device: str,
    batch: int,
    workers: int,
    strict: bool,
    output: Path,
    overwrite: bool,
    **settings: object,
) -> None:
    """Turn images into a role map: what does each head of a CLIP do?

    Writes role_map.json, role_map.csv and moments.safetensors (--by images: value_moments.safetensors; with
    --concepts discover also the bank, probes.csv). Without arguments it scores the bundled model on rendered scenes,
    offline.
    """
    from headroles.cli.score_variants import check_placed, open_variant, report_variant
    from headroles.output import check_output, write_results

    given = {name: value for name, value in settings.items() if value is not None}
    found = {"encoder": encoder, "noise": noise, "min_cluster_size": min_cluster_size}
    check_placed(by, concepts, {**given, **found, "probes": probes})
    check_output(output, overwrite)
    bank = probes or ("shapes" if model == "shapes" else "general")
    run = open_variant(by, concepts, model, images, bank, count, given, found, device)
    with click.progressbar(length=len(run.images), label=f"{run.source} -> {model}") as bar:
        options = {"batch": batch, "workers": workers, "strict": strict}
        role_map, moments, *rest = run.score(**options, progress=lambda done, _: bar.update(done - bar.pos))
    written = write_results(role_map, moments, output, *(discovery.bank for discovery in rest))
    report_variant(moments, role_map, *rest)
    _report(role_map, output, written)


def _report(role_map: RoleMap, output: Path, written: tuple[str, ...]) -> None:
    """Roles per layer, the clearest head of every concept, and what to type next."""
    from headroles.role_map import ROLES

    if role_map.images.broken:
        names = ", ".join(role_map.images.broken[:5]) + (" ..." if len(role_map.images.broken) > 5 else "")
        click.echo(f"left out {len(role_map.images.broken)} broken image files: {names}", err=True)
    click.echo("layer  " + "  ".join(f"{role:>14}" for role in ROLES))
    for layer in role_map.layers:
        counts = [len(role_map.heads(role=role, layer=layer)) for role in ROLES]
        click.echo(f"{layer:>5}  " + "  ".join(f"{count:>14}" for count in counts))
    wide = max(12, *map(len, role_map.concepts))
    click.echo("clearest head of each concept (entropy in [0, 1], q, its first text of that concept):")
    for concept in role_map.concepts:
        heads = role_map.heads(concept=concept)
        if heads:
            head = heads[0]
            text = next((picked.text for picked in head.texts if picked.concept == concept), "-")
            numbers = f"{head.entropy:.2f}  {head.q_value:.3f}"
            click.echo(f"  {concept:<{wide}} {head.name:<8} {head.role:<14} {numbers}  {text}")
        else:
            click.echo(f"  {concept:<{wide}} none")
    if not role_map.heads(role="attribute"):
        click.echo("no head is an Attribute head by this rule; --roles-by quantile ranks the heads instead")
    click.echo(f"wrote {output}/{', '.join(written)}")
    click.echo(f"next: headroles plot {output}/role_map.json")
