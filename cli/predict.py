"""`headroles predict`."""

from __future__ import annotations

from pathlib import Path

import click

from headroles.cli.options.ablation import ablation_options, note_ablation


@click.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--classes", help='Any class names, such as "a,b,c"; default: those of the adapter\'s task.')
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
    from headroles.adapt.adapter import AdapterInfo, load_adapter
    from headroles.adapt.results.predict import predict_images
    from headroles.cli.options.names import split_names

    info = AdapterInfo.load(adapter)
    note_ablation(info.ablation)
    names = info.classes if classes is None else split_names(classes)
    dear = load_adapter(adapter, device, model)
    found = predict_images(dear, images, names, template or info.template, broken=_report_broken)
    if as_json:
        import json

        rows = [
            {"image": each.image, "probabilities": dict(zip(each.classes, each.probabilities, strict=True))}
            for each in found
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for each in found:
        best = list(zip(each.classes, each.probabilities, strict=True))[:top]
        click.echo(f"{each.image}  " + ", ".join(f"{name} {100 * share:.1f}%" for name, share in best))


def _report_broken(path: Path, error: str) -> None:
    click.echo(f"left out {path}: {' '.join(error.split())}", err=True)
