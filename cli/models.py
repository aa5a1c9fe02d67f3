"""`headroles models`."""

import click


@click.command()
def command() -> None:
    """List the models that `--model` knows by name; it also takes a folder, a weights file or a hub id."""
    from headroles.models.known_models import KNOWN

    names, places = (max(len(getattr(model, part) or "") for model in KNOWN) for part in ("name", "hub_id"))
    for model in KNOWN:
        size = f"{model.layers} x {model.heads} heads"
        click.echo(f"{model.name:<{names}} {size:<13} {model.hub_id or '(in the package)':<{places}} {model.note}")
