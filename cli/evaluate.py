"""`headroles evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options, note_ablation
from headroles.cli.options.config import config_option
from headroles.cli.options.kinds import AdapterFolder, Choice, Listed, Model, Task
from headroles.cli.options.output import check_new, output_options
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand
from headroles.cli.options.template import template_option

_SECTIONS = {
    "Task and model": ("task", "root", "template", "protocol", "model", "strict", "max_pixels"),
    "How it runs": ("device", "batch", "workers", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "as_json", "config"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("adapter", type=AdapterFolder(), default="headroles-output/adapter")
@click.option(
    "--task", type=Listed(Task()),
    help="Built-in task, folder, CSV file or data set, or several with commas; default: its own.",
)  # fmt: skip
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that --task names.")
@template_option("the adapter's for its own task")
@click.option(
    "--protocol", type=Choice(choices.PROTOCOLS),
    help="Default: the adapter's own for its own task; others are tested on all classes.",
)  # fmt: skip
@click.option("--model", type=Model(), help="Where the base model is, if it has moved.")
@running_options
@output_options(
    "Also write a folder: metrics, predictions, confusion matrix, F1 of every class, calibration.",
    "what is in the --output folder",
)
@click.option("--strict", is_flag=True, help="Refuse images that cannot be read, or are there twice.")
@click.option("--dry-run", is_flag=True, help="Say how all is read, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print all rows, also per class, as JSON.")
@ablation_options
@pixels_option
@config_option
def command(
    adapter: Path,
    task: str | None,
    root: Path | None,
    template: str | None,
    protocol: str | None,
    model: str | None,
    device: str,
    batch: int,
    workers: int,
    output: Path | None,
    overwrite: bool,
    strict: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Test an adapter beside the frozen CLIP: on its own task, as in its metrics.json, or on any other, zero-shot."""
    from headroles.adapt.adapter.info import AdapterInfo
    from headroles.adapt.results.evaluate import evaluate
    from headroles.adapt.results.evaluation import FILES
    from headroles.adapt.training.processes import is_main
    from headroles.cli.options.names import split_names
    from headroles.cli.options.stopped import typed
    from headroles.files.run_file import check_run, write_run

    note_ablation(AdapterInfo.load(adapter).ablation)
    names = split_names(task) if task else None
    if output:
        check_new(*(output / name for name in FILES), overwrite=overwrite)
        check_run(output)
    where = {"root": root, "template": template, "model": model, "device": device}
    more: dict[str, Any] = {**where, "batch": batch, "workers": workers, "strict": strict}
    more |= {"images": bool(output), "dry_run": dry_run}
    found = evaluate(adapter, names, protocol, say=partial(click.echo, err=not dry_run), **more)
    if not is_main():
        return
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if dry_run:
        return
    written = found.write(output) if output else ()
    if output:
        write_run(output)
    click.echo(found.to_json() if as_json else found.to_table(), nl=not as_json)
    if written and not as_json:
        click.echo(f"wrote {output}/{', '.join(path.name for path in written)}")
        click.echo("next: " + typed("plot", output, "--kind", "reliability"))
