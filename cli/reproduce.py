"""`headroles reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.activation import activation_option
from headroles.cli.options.bars import say
from headroles.cli.options.config import config_option
from headroles.cli.options.kinds import Choice, Existing, Listed, Method, Model, RoleMapFile, Word
from headroles.cli.options.names import split_names
from headroles.cli.options.numbers import parse_numbers
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand

if TYPE_CHECKING:
    from headroles.adapt.reproduction.reproduction import Reproduction


_ROOT = Existing("root", "give the folder that holds imagenet/, eurosat/ and others")
_SECTIONS = {
    "Model and data": ("root", "model", "activation", "role_map", "max_pixels"),
    "What is run": ("tables", "methods", "seeds", "shots", "epochs", "inference"),
    "How it runs": ("device", "workers", "resume"),
    "Results": ("output", "overwrite", "config"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.option("--root", type=_ROOT, required=True, help="Folder of CoOp's data sets.")
@click.option(
    "--model", type=Model(), default="ViT-B/16", show_default=True,
    help="Name, folder, file or hub id: `headroles models`.",
)  # fmt: skip
@activation_option
@click.option(
    "--tables",
    type=Listed(Word(choices.TABLES)),
    help="Some of zero-shot, base-to-novel, few-shot, cross-dataset and domain-shift, with commas.  [default: all]",
)
@click.option(
    "--methods", type=Listed(Method()),
    help="Methods, separated by commas.  [default: all that the tables have figures of]",
)  # fmt: skip
@click.option("--seeds", default="1-3", show_default=True, help="Such as 1, 1-3 or 1,5; one adapter each.")
@click.option("--shots", default="1,2,4,8,16", show_default=True, help="Of the few-shot table; the others have 16.")
@click.option("--epochs", type=click.IntRange(min=1), help="Other than the methods' published ones, for a quick look.")
@click.option(
    "--inference",
    type=Choice(choices.INFERENCES),
    default="decoupled",
    show_default=True,
    help="Of mmrl and mmrlpp: decoupled, as published, or unified, as `headroles adapt` has it.",
)
@click.option("--role-map", type=RoleMapFile(), help="Role map of the model, for methods that need one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="headroles-output/reproduction",
    show_default=True,
    help="Folder of the tables, and of all adapters below runs/.",
)
@click.option("--resume", is_flag=True, help="Go on with the first training that is not done.")
@click.option("--overwrite", is_flag=True, help="Replace what is in the output folder.")
@pixels_option
@config_option
def command(output: Path, activation: str | None, **given: Any) -> None:
    """Run CoOp's benchmark, and print the published tables beside ours, row by row with the difference.

    Needs CLIP ViT-B/16 and the data sets; those that are not there are left out and named. Days on a CPU: begin with
    few methods, such as --tables zero-shot, or --methods coop --seeds 1.
    """
    from headroles.adapt.reproduction.reproduce import reproduce
    from headroles.adapt.training.processes import is_main
    from headroles.models.known_models import join_activation

    given["model"] = join_activation(given["model"], activation)
    names = {name: given[name] and split_names(given[name]) for name in ("tables", "methods")}
    numbers = {name: parse_numbers(name, given[name]) for name in ("seeds", "shots")}
    found = reproduce(**{**given, **names, **numbers}, output=output, say=say)
    if is_main():
        _report(found, output)


def _report(found: Reproduction, output: Path) -> None:
    """The tables, what stands against them, and where all of it is."""
    from headroles.adapt.reproduction.reproduction import FILE, RUNS, TABLE

    seeds = len(found.seeds)
    click.echo("percent of right answers" + (f", mean of {seeds} seeds with 95% interval" if seeds > 1 else ""))
    click.echo(found.to_table())
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"wrote {output}/{FILE}, {TABLE}, {RUNS}")
