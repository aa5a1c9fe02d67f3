"""`headroles compare`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.bars import say
from headroles.cli.options.config import config_option
from headroles.cli.options.kinds import Choice, Entry, Listed, Model, RoleMapFile, Task
from headroles.cli.options.names import split_names
from headroles.cli.options.numbers import parse_numbers, parse_shots
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand

if TYPE_CHECKING:
    from headroles.adapt.comparison.comparison import Comparison
    from headroles.adapt.comparison.crew import Outcome


_SECTIONS = {
    "What is compared": ("methods", "tasks", "seeds", "model", "role_map", "protocol", "shots", "targets", "retention"),
    "Data": ("root", "strict", "max_pixels"),
    "Settings": ("assigned", "tune", "tune_tasks", "tune_seed"),
    "How it runs": ("device", "workers", "processes", "threads", "shard", "skip_refused"),
    "Results": ("output", "overwrite", "drop_adapters", "reference", "form", "config"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--methods", type=Listed(Entry()), help="Such as dear,mmrlpp,mmrlpp+roles (with the role map) or open=dear; or all."
)
@click.option(
    "--tasks", type=Listed(Task(), "all"),
    help="As --task of `headroles adapt`, separated by commas; all: the built-in ones.",
)  # fmt: skip
@click.option("--seeds", help="Such as 1-10 or 1,5.  [default: 1-5]")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the cells and tables.")
@click.option("--model", type=Model(), help="Name, folder, file or hub id: `headroles models`.  [default: shapes]")
@click.option("--role-map", type=RoleMapFile(), help="For the methods that take roles.")
@click.option(
    "--protocol", type=Choice(choices.PROTOCOLS), help="As of `headroles adapt`.  [default: of each task its own]"
)
@click.option("--shots", help="Training images a class, or all, or several such as 1,2,4.  [default: 16]")
@click.option(
    "--targets", type=Listed(Task(), "none"),
    help="Tasks that cross-dataset and domain-shift test on, separated by commas.",
)  # fmt: skip
@click.option(
    "--retention", type=Listed(Task(), "none"),
    help="Other tasks, separated by commas, whose zero-shot accuracy is compared, or none.",
)  # fmt: skip
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that --tasks names.")
@click.option(
    "--set",
    "assigned",
    multiple=True,
    metavar="[NAME:]SETTING=VALUE",
    help="A setting of all methods' training, or of one method; may be repeated.",
)
@click.option("--tune", is_flag=True, help="Choose each method's settings on validation images, with equal trials.")
@click.option("--tune-tasks", type=Listed(Task()), help="Tasks that settings are chosen on.  [default: all]")
@click.option("--tune-seed", type=int, help="Seed of the trials; is not reported.  [default: 101]")
@click.option("--processes", type=int, help="Cells at once.  [default: 1]")
@click.option("--threads", type=int, help="Threads of each; bytes depend on it.  [default: 1]")
@click.option("--shard", help="i/n: every n-th cell of each method, in the same folder or one to be copied into it.")
@click.option("--skip-refused", is_flag=True, help="Leave out the methods that refuse model, protocol or settings.")
@click.option("--overwrite", is_flag=True, help="Do the cells of this grid anew.")
@click.option("--drop-adapters", is_flag=True, help="Keep no trained tensors, only rows.")
@click.option("--device", help="auto, cpu, cuda, cuda:1 ...  [default: auto]")
@click.option("--workers", type=click.IntRange(min=0), help="Decoding processes, for each.  [default: 0]")
@click.option("--strict", is_flag=True, help="Refuse images that cannot be read, or are there twice.")
@click.option("--reference", default="zero-shot", show_default=True, help="What the others are held against.")
@click.option("--format", "form", type=Choice(choices.FORMATS), default="text", show_default=True, help="Of the table.")
@pixels_option
@config_option
def command(folder: Path | None, reference: str, form: str, **options: Any) -> None:
    """Compare methods of adaptation on tasks, over seeds: each method x task x seed is trained once and tested.

    With --methods, --tasks and --output it trains what is not done yet; started again, it goes on. FOLDER alone is an
    output whose cells are put together and printed: those of all shards.
    """
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    if folder is None:
        found = _compare(given, reference, form)
    elif given:
        flag = "--" + next(iter(given)).replace("_", "-").replace("assigned", "set")
        raise click.UsageError(f"{flag}: a FOLDER is only put together and printed; to compare, give it as --output")
    else:
        found = _gather(folder)
    click.echo(found.to_table(form, reference))
    for line in found.failed:
        click.echo(f"failed: {line}", err=True)
    if found.failed:
        raise click.exceptions.Exit(2)


def _gather(folder: Path) -> Comparison:
    """All cells of a folder, put together there."""
    from headroles.adapt.comparison.store import Store

    return Store(folder).write()


def _compare(given: dict[str, Any], reference: str, form: str) -> Comparison:
    from headroles.adapt.comparison.compare import compare
    from headroles.cli.options.stopped import typed

    for name in ("methods", "tasks", "output"):
        if name not in given:
            raise click.UsageError(f"--{name} is missing; to read a comparison that is there, give its FOLDER alone")
    arguments = _arguments(given, reference, form)
    try:
        found = compare(**arguments, progress=_show, say=say)
    except KeyboardInterrupt:
        click.echo(f"\nstopped: what is done is kept in {given['output']}; the same command goes on", err=True)
        raise click.exceptions.Exit(130) from None
    click.echo(f"wrote {given['output']}; next: {typed('plot', given['output'])}", err=True)
    return found


def _arguments(given: dict[str, Any], reference: str, form: str) -> dict[str, Any]:
    """What `headroles.adapt.compare` takes, from the options that are given."""
    from headroles.adapt.comparison.entries import read_assigned, read_entries
    from headroles.adapt.comparison.store import Store
    from headroles.adapt.comparison.table import check_format
    from headroles.jobs.shards import parse_shard

    lists = ("methods", "tasks", "targets", "retention", "tune_tasks")
    found = {name: split_names(value) if name in lists else value for name, value in given.items()}
    readers: dict[str, Callable[[str], Any]] = {"shots": parse_shots, "shard": parse_shard}
    readers["seeds"] = partial(parse_numbers, "seeds")
    found |= {name: read(given[name]) for name, read in readers.items() if name in given}
    found["keep_adapters"] = not found.pop("drop_adapters", False)
    entries = read_entries(found["methods"])
    Store(given["output"]).check_reference(reference, [entry.name for entry in entries])
    check_format(form)
    shared, own = read_assigned(found.pop("assigned", ()), entries)
    return {**found, **shared, "own": own}


def _show(outcome: Outcome, over: int, count: int) -> None:
    """A line a cell."""
    say(f"{over} of {count}: {outcome.told}")
