"""`headroles doctor`."""

from __future__ import annotations

import click


@click.command()
@click.argument("model", default="shapes")
@click.option("--images", default="shapes", show_default=True, help="Whatever `headroles score --images` takes.")
@click.option("--activation", help="quick_gelu or gelu, for a weights file that does not say its own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images of a timed batch.")
@click.option("--json", "as_json", is_flag=True, help="Print all facts as JSON.")
def command(model: str, images: str, activation: str | None, device: str, batch: int, as_json: bool) -> int:
    """Look at a model: what it is, whether its embeddings are split exactly, its speed, what works with it.

    MODEL is a name of `headroles models`, a folder, a weights file or a hub id. Exits with 1 where the parts of
    embeddings do not sum to the embeddings.
    """
    from headroles.diagnosis.doctor import doctor

    found = doctor(model, images, device=device, activation=activation, batch=batch)
    click.echo(found.to_json() if as_json else found.to_text(), nl=not as_json)
    for check in found.failures:
        what = f"{check.tower} tower, {check.inputs}, {check.dtype}"
        click.echo(f"failed: {what}: error {check.error:.1e}, bound {check.bound:.0e}", err=True)
    return 0 if found.ok else 1
