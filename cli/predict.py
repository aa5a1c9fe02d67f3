"""`headroles predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options.ablation import ablation_options, note_ablation
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.kinds import AdapterFolder, Model
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand
from headroles.cli.options.template import template_option
from headroles.files.json_files import dump_json

if TYPE_CHECKING:
    from headroles.adapt.results.prediction import Predictions


_SECTIONS = {
    "Classes": ("classes", "template", "top"),
    "How it runs": ("model", "device", "strict", "max_pixels", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("as_json",),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@click.argument("adapter", type=AdapterFolder())
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--classes", help="Any class names: a,b,c, or @FILE, one a line; default: those of the adapter's task.")
@template_option("the adapter's")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to show of an image.")
@click.option("--model", type=Model(), help="Where the base model is, if it has moved.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--strict", is_flag=True, help="Refuse images that cannot be read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list: probabilities, or why left out.")
@dry_run_option
@ablation_options
@pixels_option
def command(
    adapter: Path,
    images: tuple[Path, ...],
    classes: str | None,
    template: str | None,
    top: int,
    model: str | None,
    device: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Say what is in images, files or folders, with an adapter; the classes may be ones that it never saw."""
    from headroles.adapt.adapter.info import AdapterInfo
    from headroles.adapt.results.predict import predict
    from headroles.cli.options.names import split_names

    note_ablation(AdapterInfo.load(adapter).ablation)
    names = None if classes is None else split_names(classes)
    left_out: list[tuple[Path, str]] = []
    broken = None if strict else lambda path, error: left_out.append((path, " ".join(error.split())))
    found = predict(adapter, images, names, template=template, model=model, device=device, broken=broken)
    for path, error in left_out:
        click.echo(f"left out {path}: {error}", err=True)
    if as_json:
        click.echo(_to_json(found, left_out))
        return
    for each in found:
        click.echo(f"{each.image}  {each.best(top)}")


def _to_json(found: Predictions, left_out: list[tuple[Path, str]]) -> str:
    """One list with all probabilities, then the images that were left out."""

    rows: list[dict[str, Any]] = [{"image": each.image, "probabilities": each.shares} for each in found]
    rows += [{"image": str(path), "error": error} for path, error in left_out]
    return dump_json(rows, indent=2, ensure_ascii=False)
