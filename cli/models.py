"""`headroles models`."""

import click


@click.command()
def command() -> None:
    """List the models that `--model` knows by name; it also takes a local folder or a Hugging Face hub id."""
    from headroles.known_models import KNOWN

    for model in KNOWN:
        size = f"{model.layers} x {model.heads} heads"
        click.echo(f"{model.name:<21} {size:<16} {model.hub_id or '(in the package)':<36} {model.note}")
