"""`headroles models`."""

import click


@click.command()
def command() -> None:
    """List the models that `--model` knows by name; it also takes a folder, a weights file or a hub id.

    Below each, where it is on the Hugging Face hub. "verified" are those that `headroles doctor --record` found to be
    read exactly, in the list that ships or in yours; yours follow under their own names.
    """
    from headroles.models.known_models import KNOWN
    from headroles.models.verified import verified_models

    verified = verified_models()
    names = max(len(model.name) for model in KNOWN)
    for model in KNOWN:
        size = f"{model.layers} x {model.heads} heads"
        click.echo(f"{model.name:<{names}}  {size:<13}  {model.note}".rstrip())
        found = verified.find(model.name, model.hub_id)
        mark = f"verified {found.date}, {found.weights_hash[:8]}" if found else ""
        if below := "; ".join(filter(None, (model.hub_id, mark))):
            click.echo(f"  {below}")
    known = {name for model in KNOWN for name in (model.name, model.hub_id)}
    for each in verified.models:
        if each.model not in known:
            click.echo(f"{each.model}: {each.family}; verified {each.date}, {each.weights_hash[:8]}")
