"""`headroles predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headroles.cli.options.ablation import ablation_options, note_ablation

if TYPE_CHECKING:
    from headroles.adapt.results.prediction import Predictions


@click.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--classes", help="Any class names: a,b,c, or @FILE, one a line; default: those of the adapter's task.")
@click.option("--template", help="Prompt with {} for the class; default: the adapter's.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to show of an image.")
@click.option("--model", help="Where the base model is, if it has moved.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with all probabilities.")
@ablation_options
def command(
    adapter: Path,
    images: tuple[Path, ...],
    classes: str | None,
    template: str | None,
    top: int,
    model: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Say what is in images, files or folders, with an adapter; the classes may be ones that it never saw."""
    from headroles.adapt.adapter.info import AdapterInfo
    from headroles.adapt.results.predict import predict
    from headroles.cli.options.names import split_names

    note_ablation(AdapterInfo.load(adapter).ablation)
    names = None if classes is None else split_names(classes)
    found = predict(adapter, images, names, template=template, model=model, device=device, broken=_report_broken)
    if as_json:
        click.echo(_to_json(found))
        return
    for each in found:
        click.echo(f"{each.image}  {each.best(top)}")


def _to_json(found: Predictions) -> str:
    """One list with all probabilities."""
    import json

    rows = [{"image": each.image, "probabilities": each.shares} for each in found]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _report_broken(path: Path, error: str) -> None:
    click.echo(f"left out {path}: {' '.join(error.split())}", err=True)
