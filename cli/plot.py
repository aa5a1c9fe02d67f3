"""`headroles plot`."""

from pathlib import Path

import click


@click.command()
@click.argument("role_map", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option("--kind", default="all", show_default=True, help="entropy, concepts, texts or all.")
@click.option("--heads", help="Heads of the texts figure, such as L7.H3,L6.H0; default: each concept's clearest.")
@click.option("--output", type=click.Path(path_type=Path), help="File, .png, .svg or .pdf; default: roles.png beside.")
def command(role_map: Path, kind: str, heads: str | None, output: Path | None) -> None:
    """Draw a role map: entropy of layers x heads, concept shares of every head, texts of chosen heads."""
    from headroles.plot import plot
    from headroles.role_map import RoleMap

    chosen = [name.strip() for name in heads.split(",")] if heads else None
    for path in plot(RoleMap.load(role_map), kind, output or role_map.with_name("roles.png"), chosen):
        click.echo(f"wrote {path}")
