"""`headroles debias`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.groups import groups_option
from headroles.cli.options.heads import head_options
from headroles.cli.options.kinds import Choice, Model
from headroles.cli.options.modes import refuse_idle
from headroles.cli.options.overlap import overlap_option
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand
from headroles.files.json_files import dump_json

_LEARNING = ("steps", "lr", "decay", "unbalanced", "overwrite")


_SECTIONS = {
    "Which heads": ("heads", "concept", "any_role", "scale", "head_weights"),
    "Task and model": ("task", "groups", "model", "classifier", "template", "max_pixels", "allow_overlap"),
    "What is measured": ("effect", "draws", "seed"),
    "Learning factors": ("learn", "steps", "lr", "decay", "unbalanced", "overwrite"),
    "How it runs": ("device", "batch", "workers", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("as_json",),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@head_options("Damp")
@click.option("--head-weights", type=click.Path(path_type=Path), help="Apply learned factors of this file instead.")
@click.option("--learn", type=click.Path(path_type=Path), help="Learn one factor a head, write them here (.json).")
@click.option(
    "--task", default="shapes", show_default=True,
    help="CSV with columns path,class,group and split (train, val, test), or shapes[:ITEM+BACKGROUND,ITEM+BACKGROUND].",
)  # fmt: skip
@groups_option
@click.option(
    "--classifier", type=Choice(choices.CLASSIFIERS), default="images", show_default=True,
    help="Where class vectors come from; images: those of train.",
)  # fmt: skip
@click.option("--template", default="a photo of a {}", show_default=True, help="Prompt with {} for the class.")
@click.option("--scale", type=float, default=0.0, show_default=True, help="What is left of the heads, 0 to 1.")
@click.option(
    "--effect", type=Choice(choices.EFFECTS), default="direct", show_default=True, help="total: with all later layers."
)
@click.option("--draws", type=int, default=100, show_default=True, help="Draws of matched random heads.")
@click.option("--steps", type=int, default=200, show_default=True, help="With --learn: steps.")
@click.option("--lr", type=float, default=0.05, show_default=True, help="With --learn: learning rate.")
@click.option("--decay", type=float, default=1.0, show_default=True, help="With --learn: pull of the factors to 1.")
@click.option("--unbalanced", is_flag=True, help="With --learn: groups count by their images, not all the same.")
@click.option("--seed", default=0, show_default=True, help="Of pictures, draws and resamples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the file of --learn.")
@click.option("--model", type=Model(), help="Name, folder or hub id; default: the role map's.")
@overlap_option
@running_options
@dry_run_option
@ablation_options
@pixels_option
@click.pass_context
def command(
    context: click.Context,
    role_map: Path,
    head_weights: Path | None,
    learn: Path | None,
    steps: int,
    lr: float,
    decay: float,
    unbalanced: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Damp the heads of a spurious concept and measure the worst group of classes and cue values.

    Class vectors come from the training images, which may be biased, or from prompts. The same is done with matched
    random heads. With --learn the heads' factors are learned on the val images instead, groups balanced.
    """
    from headroles.heads.weights import LearnConfig
    from headroles.uses.debias import debias
    from headroles.uses.debiased import MEASURED

    if sum(map(bool, (given["concept"] or given["heads"], head_weights, learn))) != 1:
        raise click.UsageError("give one of --concept or --heads, --head-weights, --learn")
    if not learn:
        refuse_idle(context, _LEARNING, "without --learn")
    learning = LearnConfig(steps, lr, decay, not unbalanced) if learn else None
    found = debias(role_map, weights=learn or head_weights, learn=learning, **given)
    if as_json:
        facts = found.to_dict()
        click.echo(dump_json({name: facts[name] for name in MEASURED}, indent=2, ensure_ascii=False))
        return
    click.echo(found.to_text())
    if learn:
        click.echo(f"wrote {learn}")
