"""`headroles merge-adapters`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.kinds import AdapterFolder, Choice, Model, Task
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand

if TYPE_CHECKING:
    from headroles.adapt.adapter.adapter import Adapter


_SECTIONS = {
    "How they are merged": ("by", "weights", "strength"),
    "By recall": ("task", "images", "root", "clusters", "temperature", "sigma", "seed", "max_pixels"),
    "How it runs": ("model", "device"),
    "Results": ("output", "overwrite"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("adapters", nargs=-1, required=True, type=AdapterFolder())
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of the merged adapter.")
@click.option(
    "--by", type=Choice(choices.MERGING), default="mean", show_default=True,
    help="arithmetic: task arithmetic (2212.04089); recall: RECALL.",
)  # fmt: skip
@click.option("--weights", help="By mean: each adapter's share, such as 1,1,2.  [default: alike]")
@click.option(
    "--strength",
    type=float,
    help="By arithmetic: lambda in start + lambda * sum of differences to it.  [default: 1 / number of adapters]",
)
@click.option(
    "--task", type=Task(),
    help="By recall: the newest task, whose training images it looks at.  [default: the newest's]",
)  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), help="By recall: a folder of images, in place of --task.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that tasks name.")
@click.option("--clusters", type=int, help="By recall: clusters of these images, one typical each.  [default: 16]")
@click.option("--temperature", type=float, help="By recall: of the softmax over adapters.  [default: 1]")
@click.option("--sigma", type=float, help="By recall: width of the kernel.  [default: by the median distance]")
@click.option("--seed", type=int, help="By recall: seed of the clustering.  [default: 0]")
@click.option("--model", type=Model(), help="Where the base model is, if it has moved.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--overwrite", is_flag=True, help="Replace an adapter that is already in the output folder.")
@pixels_option
def command(adapters: tuple[Path, ...], output: Path, overwrite: bool, **given: Any) -> None:
    """Make one adapter of several: by their mean, by task arithmetic, or by RECALL.

    ADAPTERS are folders that `headroles adapt` wrote, the newest last: of one method, with the same settings, over one
    frozen CLIP. The merged adapter has the newest's classes and prompt; evaluate, predict and export take it as any.
    """
    from headroles.adapt.jobs.output import working_folder
    from headroles.adapt.merging.merge import merge_adapters

    options = {name: value for name, value in given.items() if value is not None}
    if "weights" in options:
        options["weights"] = _parse_weights(options["weights"])
    _check_output(output, adapters, overwrite)
    with working_folder(output, ()):
        merged = merge_adapters(adapters, **options)
        merged.save(output)
    _report(merged, output)


def _check_output(output: Path, adapters: tuple[Path, ...], overwrite: bool) -> None:
    from headroles.adapt.jobs.output import check_output
    from headroles.errors import InputError

    if any(output.resolve() == adapter.resolve() for adapter in adapters):
        raise InputError(f"output: {output} is one of the adapters that are merged; give another --output")
    check_output(output, False, overwrite)


def _parse_weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--weights must be numbers such as 1,1,2, got {text!r}") from None


def _report(merged: Adapter, output: Path) -> None:
    """What was merged, with which weights, and what to type next."""
    from headroles.cli.options.stopped import typed

    merging = merged.info.merged
    assert merging is not None
    for note in merging.notes:
        click.echo(f"note: {note}", err=True)
    width = max(5, *map(len, merging.weights))
    click.echo("weights".ljust(width) + "".join(f"  {part.task}" for part in merging.parts))
    for place, weights in merging.weights.items():
        cells = (f"{weight:.3f}".rjust(len(part.task)) for part, weight in zip(merging.parts, weights, strict=True))
        click.echo("  ".join([place.ljust(max(width, len("weights"))), *cells]))
    click.echo(f"wrote {output}")
    click.echo("next: " + typed("evaluate", output))
