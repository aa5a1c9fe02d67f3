"""`headroles plot`."""

from pathlib import Path

import click


@click.command()
@click.argument("result", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option(
    "--kind",
    default="all",
    show_default=True,
    help="Role map: entropy, concepts, texts; adapter: curves, mask, fusion.",
)
@click.option("--heads", help="Heads of the texts figure, such as L7.H3,L6.H0; default: each concept's clearest.")
@click.option("--output", type=click.Path(path_type=Path), help="File, .png, .svg or .pdf; default: beside the result.")
def command(result: Path, kind: str, heads: str | None, output: Path | None) -> None:
    """Draw a role map (entropy of layers x heads, concept shares of every head, texts of chosen heads) or an adapter.

    RESULT is a role map, or the folder of an adapter (curves of its training, its masks, its fusion weights).
    """
    if result.is_dir():
        from headroles.adapt.plot import plot_adapter

        if heads:
            raise click.UsageError("--heads chooses heads of a role map's texts; an adapter has no such figure")
        paths = plot_adapter(result, kind, output or result / "adapter.png")
    else:
        from headroles.plot import plot
        from headroles.role_map import RoleMap

        chosen = [name.strip() for name in heads.split(",")] if heads else None
        paths = plot(RoleMap.load(result), kind, output or result.with_name("roles.png"), chosen)
    for path in paths:
        click.echo(f"wrote {path}")
