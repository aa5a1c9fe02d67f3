"""`headroles score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headroles.role_map import RoleMap


@click.command()
@click.option("--model", default="shapes", show_default=True, help="Name, folder, file or hub id: `headroles models`.")
@click.option("--activation", help="quick_gelu or gelu, for a weights file that does not say its own.")
@click.option("--images", default="shapes", show_default=True, help="Folder of images, or shapes for rendered scenes.")
@click.option("--count", type=click.IntRange(min=2), help="Images to use; default: 2000 scenes, or the whole folder.")
@click.option("--probes", help="Bank or CSV file; default: shapes for the bundled model, else general.")
@click.option("--layers", default="deep", show_default=True, help="deep (last third), all, or 8-11, or 3,6-7.")
@click.option("--texts-per-head", type=int, help="Texts that describe a head (at most its width).")
@click.option("--weights", help="A text counts its share of variance, or 1: variance or count.")
@click.option("--selection", help="How TextSpan picks: std (original) or variance.")
@click.option("--roles-by", help="threshold (default), quantile or null.")
@click.option("--low", type=float, help="Attribute up to here (threshold: entropy; quantile: quantile).")
@click.option("--high", type=float, help="Generalization from here on.")
@click.option("--prior-correction/--no-prior-correction", default=None, help="Weigh concepts by their share of bank.")
@click.option("--center-texts/--no-center-texts", default=None, help="Take the bank's mean text off.")
@click.option("--permutations", type=int, help="Label shuffles of the null model.")
@click.option("--bootstraps", type=int, help="Resamples of image blocks.")
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
    activation: str | None,
    images: str,
    count: int | None,
    probes: str | None,
    device: str,
    batch: int,
    workers: int,
    strict: bool,
    output: Path,
    overwrite: bool,
    **settings: object,
) -> None:
    """Turn images into a role map: what does each head of a CLIP do?

    Writes role_map.json, role_map.csv and moments.safetensors. Without arguments it scores the bundled model on
    rendered scenes, offline.
    """
    from headroles.checkpoints.checkpoint import join_activation
    from headroles.output import check_output, write_results
    from headroles.probes import ProbeBank
    from headroles.score_run import open_run

    model = join_activation(model, activation)
    check_output(output, overwrite)
    bank = ProbeBank.load(probes or ("shapes" if model == "shapes" else "general"))
    given = {name: value for name, value in settings.items() if value is not None}
    run = open_run(model, images, count, given, device)
    with click.progressbar(length=len(run.images), label=f"{run.source} -> {model}") as bar:
        role_map, moments = run.score(
            bank, batch=batch, workers=workers, strict=strict, progress=lambda done, _: bar.update(done - bar.pos)
        )
    write_results(role_map, moments, output)
    _report(role_map, output)


def _report(role_map: RoleMap, output: Path) -> None:
    """Roles per layer, the clearest head of every concept, and what to type next."""
    from headroles.role_map import ROLES

    if role_map.images.broken:
        names = ", ".join(role_map.images.broken[:5]) + (" ..." if len(role_map.images.broken) > 5 else "")
        click.echo(f"left out {len(role_map.images.broken)} broken image files: {names}", err=True)
    click.echo("layer  " + "  ".join(f"{role:>14}" for role in ROLES))
    for layer in role_map.layers:
        counts = [len(role_map.heads(role=role, layer=layer)) for role in ROLES]
        click.echo(f"{layer:>5}  " + "  ".join(f"{count:>14}" for count in counts))
    if role_map.layers[-1] == role_map.model.layers:
        click.echo(f"layer {role_map.layers[-1]}: the heads of the pooling head")
    click.echo("clearest head of each concept (entropy in [0, 1], q, its first text of that concept):")
    for concept in role_map.concepts:
        heads = role_map.heads(concept=concept)
        if heads:
            head = heads[0]
            text = next((picked.text for picked in head.texts if picked.concept == concept), "-")
            click.echo(f"  {concept:<12} {head.name:<8} {head.role:<14} {head.entropy:.2f}  {head.q_value:.3f}  {text}")
        else:
            click.echo(f"  {concept:<12} none")
    if not role_map.heads(role="attribute"):
        click.echo("no head is an Attribute head by this rule; --roles-by quantile ranks the heads instead")
    click.echo(f"wrote {output}/role_map.json, role_map.csv, moments.safetensors")
    click.echo(f"next: headroles plot {output}/role_map.json")
