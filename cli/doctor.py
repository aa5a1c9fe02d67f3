"""`headroles doctor`."""

from __future__ import annotations

import click

from headroles.cli.options.activation import activation_option
from headroles.cli.options.kinds import Images, Model

_OWN = ""
"""--record without a file."""


@click.command()
@click.argument("model", type=Model(), default="shapes")
@click.option(
    "--texts-from", type=Model(), metavar="CLIP", help="The CLIP that a vision tower without texts comes from."
)
@click.option(
    "--images", type=Images("shapes"), default="shapes", show_default=True,
    help="Whatever `headroles score --images` takes.",
)  # fmt: skip
@activation_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images of a timed batch.")
@click.option("--json", "as_json", is_flag=True, help="Print all facts as JSON.")
@click.option(
    "--record", "file", is_flag=False, flag_value=_OWN, metavar="[FILE]",
    help="Where it is read exactly, add it to a list of verified models: FILE, or your own, which `headroles models` "
    "shows.",
)
def command(
    model: str, texts_from: str | None, images: str, activation: str | None, device: str, batch: int, as_json: bool,
    file: str | None,
) -> int:  # fmt: skip
    """Look at a model: what it is, whether its embeddings are split exactly, its speed, what works with it.

    MODEL is a name of `headroles models`, a folder, a weights file or a hub id. Exits with 1 where the parts of
    embeddings do not sum to the embeddings.
    """
    from headroles.diagnosis.doctor import doctor
    from headroles.diagnosis.record import place_of, record
    from headroles.models.words import join_names

    if file is not None:
        place_of(file or None)  # A mistake is said before minutes of work.
    found = doctor(join_names(model, texts_from), images, device=device, activation=activation, batch=batch)
    click.echo(found.to_json() if as_json else found.to_text(), nl=not as_json)
    for check in found.failures:
        what = f"{check.tower} tower, {check.inputs}, {check.dtype}"
        click.echo(f"failed: {what}: error {check.error:.1e}, bound {check.bound:.0e}", err=True)
    if file is not None and found.ok:
        click.echo(f"recorded in {record(found, file or None)}", err=True)
    return 0 if found.ok else 1
