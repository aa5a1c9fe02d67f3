"""`headroles debias`."""

from __future__ import annotations

from pathlib import Path

import click

from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.running import running_options


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option("--concept", help="Damp the Attribute heads of this concept.")
@click.option("--any-role", is_flag=True, help="With --concept: Mixed and Generalization heads too.")
@click.option("--heads", help="Damp these heads, such as L6.H3,L7.*.")
@click.option("--head-weights", type=click.Path(path_type=Path), help="Apply learned factors of this file instead.")
@click.option("--learn", type=click.Path(path_type=Path), help="Learn one factor a head, write them here (.json).")
@click.option(
    "--task", default="shapes", show_default=True,
    help="CSV with columns path,class,group and split (train, val, test), or shapes[:ITEM+BACKGROUND,ITEM+BACKGROUND].",
)  # fmt: skip
@click.option("--classifier", default="images", show_default=True, help="Class vectors: images (train) or prompts.")
@click.option("--template", default="a photo of a {}", show_default=True, help="Prompt with {} for the class.")
@click.option("--scale", type=float, default=0.0, show_default=True, help="What is left of the heads, 0 to 1.")
@click.option("--effect", default="direct", show_default=True, help="direct, or total: with all later layers.")
@click.option("--draws", type=int, default=100, show_default=True, help="Draws of matched random heads.")
@click.option("--steps", type=int, default=200, show_default=True, help="With --learn: steps.")
@click.option("--lr", type=float, default=0.05, show_default=True, help="With --learn: learning rate.")
@click.option("--decay", type=float, default=1.0, show_default=True, help="With --learn: pull of the factors to 1.")
@click.option("--unbalanced", is_flag=True, help="With --learn: groups count by their images, not all the same.")
@click.option("--seed", default=0, show_default=True, help="Of pictures, draws and resamples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the file of --learn.")
@click.option("--model", help="Name, folder or hub id; default: the role map's.")
@running_options
@ablation_options
def command(
    role_map: Path,
    concept: str | None,
    any_role: bool,
    heads: str | None,
    head_weights: Path | None,
    learn: Path | None,
    task: str,
    steps: int,
    lr: float,
    decay: float,
    unbalanced: bool,
    as_json: bool,
    overwrite: bool,
    model: str | None,
    device: str,
    batch: int,
    workers: int,
    **settings: object,
) -> None:
    """Damp the heads of a spurious concept and measure the worst group of classes and cue values.

    Class vectors come from the training images, which may be biased, or from prompts. The same is done with matched
    random heads. With --learn the heads' factors are learned on the val images instead, groups balanced.
    """
    from headroles.heads.weights import HeadWeights, LearnConfig
    from headroles.images.grouped import open_grouped
    from headroles.jobs.output import check_free, check_writable
    from headroles.models.load import load
    from headroles.roles.role_heads import check_model, choose_heads
    from headroles.roles.role_map import RoleMap
    from headroles.uses.cue_bench import CueBench, DebiasConfig
    from headroles.uses.debias import debias, debias_by_weights, to_text

    if sum(map(bool, (concept or heads, head_weights, learn))) != 1:
        raise click.UsageError("give one of --concept or --heads, --head-weights, --learn")
    config = DebiasConfig(**settings)
    learning = LearnConfig(steps, lr, decay, not unbalanced)
    scored = RoleMap.load(role_map)
    chosen = choose_heads(scored, heads, concept, any_role) if concept or heads else ()
    if learn and learn.suffix != ".json":
        raise click.UsageError(f"learn: the file must end in .json, got {learn.name}")
    if learn and not overwrite:
        check_free(learn)
    if learn:
        check_writable(learn.parent)
    weights = HeadWeights.load(head_weights) if head_weights else None
    clip = load(model or scored.model.name, device)
    check_model(scored, clip)
    bench = CueBench(clip, scored, open_grouped(task, clip.processor, config.seed), config, batch, workers)
    if learn:
        weights = bench.learn(learning)
    if weights:
        found = debias_by_weights(bench, weights, str(learn or head_weights))
    else:
        found = debias(bench, [(head.layer, head.head) for head in chosen])
    if learn:
        weights.save(learn)
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
        return
    click.echo(to_text(found))
    if learn:
        click.echo(f"wrote {learn}")
