"""`headroles models`."""

import click


@click.command()
def command() -> None:
    """List the models that `--model` knows by name; it also takes a folder, a weights file or a hub id."""
    from headroles.known_models import KNOWN

    for model in KNOWN:
        size = f"{model.layers} x {model.heads} heads"
        click.echo(f"{model.name:<36} {size:<14} {model.hub_id or '(in the package)':<45} {model.note}")
