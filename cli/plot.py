"""`headroles plot`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options.kinds import Existing
from headroles.cli.options.names import split_names
from headroles.cli.options.output import check_new

if TYPE_CHECKING:
    from headroles.shown import Shown

_RESULTS = {
    "comparison": "headroles.adapt.comparison.comparison:Comparison",
    "roles": "headroles.roles.role_map:RoleMap",
    "validation": "headroles.causal.validation:Validation",
    "diff": "headroles.roles.diff:RoleMapDiff",
    "model_diff": "headroles.heads.model_diff:ModelDiff",
    "consensus": "headroles.roles.consensus:Consensus",
    "continual": "headroles.adapt.continual.result:Continual",
    "attended": "headroles.uses.attended:Attended",
    "retrieved": "headroles.uses.retrieved:Retrieved",
    "debiased": "headroles.uses.debiased:Debiased",
    "evaluation": "headroles.adapt.results.evaluation:Evaluation",
}
"""Stem of the pictures' files, where the result's has its usual name -> the result; in a folder, the first."""

_MAKERS = "score, validate, adapt, compare and others make results"


@click.command()
@click.argument("result", type=Existing("result", _MAKERS), default="headroles-output/role_map.json")
@click.option(
    "--kind",
    default="all",
    show_default=True,
    help="Role map: entropy, concepts, texts, shares, spread; adapter: curves, mask, fusion, found, shots; several "
    "tasks: matrix, drift; evaluation: reliability; validation: matrix, selectivity, doses; comparison: ranks, pareto, "
    "halves.",
)
@click.option("--heads", help="Heads of the texts figure, such as L7.H3,L6.H0; default: each concept's clearest.")
@click.option(
    "--style",
    type=click.Choice(["screen", "paper"]),
    default="screen",
    show_default=True,
    help="paper: as wide as a column of text, or two; text of 7 points, no heading, .pdf if --output says no other; "
    "what the heading would say is printed, for the caption.",
)
@click.option("--output", type=click.Path(path_type=Path), help="File, .png, .svg or .pdf; default: beside the result.")
@click.option("--overwrite", is_flag=True, help="Replace files that --output names and that exist already.")
def command(result: Path, kind: str, heads: str | None, style: str, output: Path | None, overwrite: bool) -> None:
    """Draw a role map (entropy of layers x heads, concepts of every head, texts of chosen heads, heads x concepts,
    concepts x layers) or an adapter.

    RESULT is a role map, the folder of an adapter (curves of its training, its masks, its fusion weights, what its
    method found out) or of a job with several (accuracy against shots), the folder of an evaluation (reliability of its
    probabilities), the validation.json of a role map (what cutting heads costs, concept by concept), or another result
    that was saved as JSON, such as what `headroles diff --json` prints.
    """
    from headroles.figures.files import check_suffix, draw_plots, name_plots, write_figure

    shown, default = _open(result)
    if heads and "texts" not in shown.figures:
        raise click.UsageError("--heads chooses heads of a role map's texts; this is none")
    _check_kind(kind, shown)
    default = default.with_suffix(".pdf") if style == "paper" else default
    path = output or (default if kind == "all" else default.with_stem(f"{default.stem}-{kind}"))
    if output:
        check_new(*name_plots(shown, kind, path), overwrite=overwrite)
    options = {"texts": {"heads": split_names(heads)}} if heads else {}
    check_suffix(path)
    figures = draw_plots(shown, kind, style, **options)
    for figure, target in zip(figures, name_plots(shown, kind, path), strict=True):
        write_figure(figure, target)
        click.echo(f"wrote {target}")
        if style == "paper":
            click.echo(f"  caption: {getattr(figure, 'caption', '')}")


def _check_kind(kind: str, shown: Shown) -> None:
    """InputError for a figure of another result than this."""
    from headroles.errors import InputError

    others = {stem: _load(home) for stem, home in _RESULTS.items()}
    home = next((each for each in others.values() if kind in each.figures and kind not in shown.figures), None)
    if home:
        raise InputError(f"kind: {kind} is drawn of a {home.called}, which {home.made_by} writes, got another result")


def _open(place: Path) -> tuple[Shown, Path]:
    """The result there, and the picture beside it."""
    from headroles.adapt.adapter.folders import find_adapters

    kinds = {stem: _load(home) for stem, home in _RESULTS.items()}
    if place.is_dir() and not find_adapters(place):
        files = (place / kind.file_name for kind in kinds.values())
        place = next((file for file in files if file.is_file()), place)
    if place.is_dir():
        from headroles.adapt.results.plot import read_runs

        return read_runs(place), place / "adapter.png"
    others = (stem for stem, kind in kinds.items() if stem != "roles" and kind.is_at(place))
    stem = next(others, "roles")  # Role maps have no mark of their own.
    named = stem if place.name == kinds[stem].file_name else place.stem
    return kinds[stem].load(place), place.with_name(f"{named}.png")


def _load(home: str) -> Any:
    """The class of "module:class"."""
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)
