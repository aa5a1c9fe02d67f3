"""`headroles probes`."""

import click


@click.command()
def command() -> None:
    """List the bundled probe banks; `--probes` also takes a CSV file with columns text,concept."""
    from headroles.roles.probes import BUNDLED, ProbeBank

    for name, note in BUNDLED.items():
        bank = ProbeBank.load(name)
        click.echo(f"{name}: {note}, {len(bank.texts)} texts, {len(bank.concepts)} concepts")
        click.echo("  " + ", ".join(f"{concept} {count}" for concept, count in bank.counts.items()))
