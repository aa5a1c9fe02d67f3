"""`headroles diff`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.kinds import Choice
from headroles.cli.options.output import check_new, output_options

if TYPE_CHECKING:
    from headroles.roles.diff import RoleMapDiff


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.argument("more", type=click.Path(path_type=Path), nargs=-1)
@output_options("Picture to write: .png, .svg or .pdf; default: none.", "the picture if it exists already")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
@click.option(
    "--bootstraps", type=click.IntRange(min=1), default=2000, show_default=True, help="Resamples of heads, intervals."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the resamples.")
@click.option("--tower", type=Choice(choices.TOWERS), default="visual", show_default=True, help="Of models.")
@click.option("--leading", type=click.IntRange(min=1), default=3, show_default=True, help="Of models: directions.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Of models: heads shown.")
def command(
    a: Path, b: Path, more: tuple[Path, ...], output: Path | None, overwrite: bool, as_json: bool, bootstraps: int,
    seed: int, **models: Any,
) -> None:  # fmt: skip
    """Compare role maps, which heads changed their role; or two models, which heads a fine-tuning changed.

    A and B are role maps, or folders of `headroles score`, of models with as many layers and heads: two checkpoints,
    two banks, two seeds, or text and image probes of one model. Intervals are 95%, from resampling heads.

    With MORE maps, such as those by texts, images and weights: each two of them, and the role that most of them give.

    Or A and B are models of one shape, a base and a tuned one, by name, folder, file or hub id: by weights alone, how
    much of each head changed (M, what it writes into the embedding; W_V W_O; where it looks), and its directions.
    """
    from headroles.cli.options.models import are_models

    if output:
        from headroles.figures.files import check_suffix, save_plots

        check_suffix(output)
        check_new(output, overwrite=overwrite)
    if are_models(a, b, *more):
        if more:
            raise click.UsageError(f"models are compared two by two: a base and a tuned one; leave out {more[0]}")
        _diff_models(a, b, output, as_json, **models)
        return
    found, tell = _compare([a, b, *more], bootstraps, seed)
    if output:
        save_plots(found, "map", output)
    if as_json:
        click.echo(found.to_json(), nl=False)
        return
    tell(found)
    if output:
        click.echo(f"wrote {output}")


def _compare(maps: list[Path], bootstraps: int, seed: int) -> tuple[Any, Callable[[Any], None]]:
    """What was found of two role maps or more, and what says it."""
    if len(maps) == 2:
        from headroles.roles.diff import diff

        return diff(*maps, bootstraps=bootstraps, seed=seed), _report
    from headroles.cli.options.consensus import report_consensus
    from headroles.roles.consensus import consensus

    return consensus(maps, bootstraps=bootstraps, seed=seed), report_consensus


def _diff_models(base: Path, tuned: Path, output: Path | None, as_json: bool, top: int, **given: Any) -> None:
    from headroles.figures.files import write_figure
    from headroles.heads.compare_models import diff_models

    found = diff_models(base, tuned, **given)
    if output:
        write_figure(found.plot(), output)
    click.echo(found.to_json() if as_json else found.to_text(top), nl=not as_json)
    if output and not as_json:
        click.echo(f"wrote {output}")


def _report(found: RoleMapDiff) -> None:
    """What agrees, then every head that changed its role."""
    from headroles.roles.role_map import SILENT

    for letter, name in zip("AB", found.names, strict=True):
        click.echo(f"{letter}: {name}")
    heads, same = len(found.heads), len(found.heads) - len(found.changed)
    weights = "the same weights" if found.same_weights else "different weights"
    click.echo(f"{weights}; {heads} heads of layers {', '.join(map(str, found.layers))} in both")
    click.echo(f"same role:              {same} of {heads} heads, kappa {found.kappa}")
    click.echo(f"entropy:                Spearman {found.entropy_correlation}")
    if found.same_concept is None:
        click.echo(f"same dominant concept:  not compared, the maps share {len(found.concepts)} concepts")
    else:
        alike = f"{round(found.same_concept * heads)} of {heads} heads, kappa {found.concept_kappa}"
        click.echo(f"same dominant concept:  {alike}, among the {len(found.concepts)} concepts that both know")
    if found.changed:
        click.echo("heads that changed their role (concept, entropy):")
    for head in found.changed:
        sides = [
            role if role == SILENT else f"{role:<14} {concept or 'no concept'} {entropy:.2f}"
            for role, concept, entropy in zip(head.roles, head.concepts, head.entropies, strict=True)
        ]
        click.echo(f"  {head.name:<8} {sides[0]:<34} -> {sides[1]}")
