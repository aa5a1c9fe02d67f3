"""`headroles export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options.kinds import AdapterFolder, Model
from headroles.cli.options.template import template_option


@click.command()
@click.argument("adapter", type=AdapterFolder(), default="headroles-output/adapter")
@click.option("--classes", help='Any class names, such as "a,b,c"; default: those of the adapter\'s task.')
@template_option("the adapter's")
@click.option("--model", type=Model(), help="Where the base model is, if it has moved.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default: export, in that of the adapter.")
@click.option("--overwrite", is_flag=True, help="Replace an export that is already in the output folder.")
def command(adapter: Path, output: Path | None, classes: str | None, **given: Any) -> None:
    """Write an adapter for serving: a torch.export program for fixed classes, and its plain tensors.

    Writes classifier.pt2, state.safetensors, preprocessor_config.json and export.json, which torch, safetensors and
    transformers read without headroles.
    """
    from headroles.adapt.results.export import export_adapter
    from headroles.cli.options.names import split_names

    folder = output or adapter / "export"
    names = None if classes is None else split_names(classes)
    written = export_adapter(adapter, folder, names, **given)
    click.echo(f"wrote {folder}/{', '.join(path.name for path in written)}")
