"""`headroles plot`."""

from pathlib import Path

import click


@click.command()
@click.argument("result", type=click.Path(path_type=Path), default="headroles-output/role_map.json")
@click.option(
    "--kind",
    default="all",
    show_default=True,
    help="Role map: entropy, concepts, texts; adapter: curves, mask, fusion; validation: matrix, selectivity.",
)
@click.option("--heads", help="Heads of the texts figure, such as L7.H3,L6.H0; default: each concept's clearest.")
@click.option("--output", type=click.Path(path_type=Path), help="File, .png, .svg or .pdf; default: beside the result.")
@click.option("--overwrite", is_flag=True, help="Replace files that --output names and that exist already.")
def command(result: Path, kind: str, heads: str | None, output: Path | None, overwrite: bool) -> None:
    """Draw a role map (entropy of layers x heads, concept shares of every head, texts of chosen heads) or an adapter.

    RESULT is a role map, the folder of an adapter (curves of its training, its masks, its fusion weights), or the
    validation.json of a role map (what cutting heads costs, concept by concept).
    """
    from headroles.causal.validation import Validation
    from headroles.errors import InputError
    from headroles.jobs.output import check_free

    if (result / "role_map.json").is_file() and not (result / "adapter_config.json").is_file():
        result = result / "role_map.json"
    if not result.exists():
        raise InputError(f"result: there is no file {result}; headroles score, validate and adapt make what is drawn")
    is_adapter = result.is_dir()
    is_validated = not is_adapter and Validation.is_at(result)
    if heads and (is_adapter or is_validated):
        raise click.UsageError("--heads chooses heads of a role map's texts; this is none")
    if is_adapter:
        from headroles.adapt.results.plot import KINDS, plot_adapter

        default = result / "adapter.png"
    elif is_validated:
        from headroles.figures.validation import KINDS, plot_validation

        default = result.with_name("validation.png")
    else:
        from headroles.figures.role_map import KINDS, plot
        from headroles.roles.role_map import RoleMap

        default = result.with_name("roles.png")
    path = output or (default if kind == "all" else default.with_stem(f"{default.stem}-{kind}"))
    if output and not overwrite:
        check_free(*([path.with_stem(f"{path.stem}-{each}") for each in KINDS] if kind == "all" else [path]))
    if is_adapter:
        paths = plot_adapter(result, kind, path)
    elif is_validated:
        paths = plot_validation(Validation.load(result), kind, path)
    else:
        chosen = [name.strip() for name in heads.split(",")] if heads else None
        paths = plot(RoleMap.load(result), kind, path, chosen)
    for written in paths:
        click.echo(f"wrote {written}")
