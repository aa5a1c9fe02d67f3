"""`headroles diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

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
def command(
    a: Path, b: Path, more: tuple[Path, ...], output: Path | None, overwrite: bool, as_json: bool, bootstraps: int,
    seed: int,
) -> None:  # fmt: skip
    """Compare two role maps: which heads changed their role, and how far the maps agree.

    A and B are role maps, or folders of `headroles score`, of models with as many layers and heads: two checkpoints,
    two banks, two seeds, or text and image probes of one model. Intervals are 95%, from resampling heads.

    With MORE maps, such as those by texts, images and weights: each two of them, and the role that most of them give.
    """
    from headroles.roles.diff import diff

    if output:
        from headroles.figures.files import check_suffix, save_plots

        check_suffix(output)
        check_new(output, overwrite=overwrite)
    if more:
        from headroles.cli.options.consensus import show_consensus

        show_consensus([a, b, *more], output, as_json, bootstraps, seed)
        return
    found = diff(a, b, bootstraps=bootstraps, seed=seed)
    if output:
        save_plots(found, "map", output)
    if as_json:
        click.echo(found.to_json(), nl=False)
        return
    _report(found)
    if output:
        click.echo(f"wrote {output}")


def _report(found: RoleMapDiff) -> None:
    """What agrees, then every head that changed its role."""
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
            f"{role:<14} {concept} {entropy:.2f}" if concept else role
            for role, concept, entropy in zip(head.roles, head.concepts, head.entropies, strict=True)
        ]
        click.echo(f"  {head.name:<8} {sides[0]:<34} -> {sides[1]}")
