"""`headroles validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.config import config_option
from headroles.cli.options.dry_run import dry_run_option
from headroles.cli.options.groups import groups_option
from headroles.cli.options.kinds import Choice, Images, Model
from headroles.cli.options.names import split_names
from headroles.cli.options.output import check_new, output_options
from headroles.cli.options.overlap import overlap_option
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.role_map import role_map_argument
from headroles.cli.options.running import running_options
from headroles.cli.options.sections import SectionedCommand

if TYPE_CHECKING:
    from headroles.causal.validation import Validation

_RUN = "validate.yaml"
"""As a rule it lies beside the run.yaml of the role map's scoring."""


_SECTIONS = {
    "Model and images": ("model", "images", "count", "groups", "max_pixels", "template", "concepts", "allow_overlap"),
    "What is measured": ("effect", "mode", "draws", "bootstraps", "doses", "seed"),
    "How it runs": ("device", "batch", "workers", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite", "config"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@role_map_argument
@click.option("--model", type=Model(), help="Name, folder, file or hub id; default: the role map's.")
@click.option(
    "--images",
    type=Images("shapes"),
    help="Labelled images: shapes, a folder CONCEPT/VALUE/ or VALUE/, or a CSV file; default: shapes for that model.",
)
@click.option("--count", type=click.IntRange(min=2), help="Images to use; default: 2000 scenes, or all files.")
@groups_option
@click.option("--template", help='Prompt with {} for a value; default: "a photo of {}."; scenes have their own.')
@click.option("--concepts", help="Labelled concepts to use, separated by commas; default: all.")
@click.option(
    "--effect", type=Choice(choices.EFFECTS),
    help="direct: the heads' own part of the embedding; total: through later layers.  [default: direct]",
)  # fmt: skip
@click.option("--mode", type=Choice(choices.MODES), help="What stands in for a cut head.  [default: mean]")
@click.option("--draws", type=click.IntRange(min=20), help="Matched random sets a concept.  [default: 100]")
@click.option("--bootstraps", type=click.IntRange(min=20), help="Resamples of image blocks.  [default: 1000]")
@click.option("--doses", help="Factors to scale each concept's heads by besides, such as -1,0,0.5,2,5; default: none.")
@click.option("--seed", default=1, show_default=True, help="Of scenes, random sets and resamples.")
@overlap_option
@running_options
@pixels_option
@output_options("Folder; default: that of the role map.", "a validation that is already in the output folder")
@dry_run_option
@ablation_options
@config_option
def command(role_map: Path, output: Path | None, overwrite: bool, concepts: str | None, **given: Any) -> None:
    """Cut the heads of every concept: does it die with them, and it alone?

    Cuts the Attribute heads of each concept in ROLE_MAP, and every scored head alone, and measures on labelled images
    what each concept loses, beside matched random heads and Generalization heads. Writes validation.json and
    validation.csv.
    """
    from headroles.causal.validate import validate
    from headroles.causal.validate_run import FILES, write
    from headroles.cli.options.reading_bar import ReadingBar
    from headroles.files.lock import locked
    from headroles.files.run_file import check_run, write_run

    folder = output or role_map.parent
    options = {name: value for name, value in given.items() if value is not None}
    if "doses" in options:
        options["doses"] = split_names(options["doses"])
    if concepts:
        options["concepts"] = split_names(concepts)
    with locked(folder, "validation"):
        check_new(*(folder / name for name in FILES), overwrite=overwrite)
        check_run(folder, _RUN)
        with ReadingBar(str(options.get("images", "shapes"))) as bar:
            validation = validate(role_map, **options, progress=bar)
        write(validation, folder)
        write_run(folder, _RUN)
    _report(validation, folder)


def _report(validation: Validation, folder: Path) -> None:
    """The matrix, what stands against it, and what to type next."""
    from headroles.causal.table import to_table
    from headroles.cli.options.broken import note_broken
    from headroles.cli.options.stopped import typed

    note_broken(validation.images.broken)
    click.echo(to_table(validation))
    click.echo(f"wrote {folder}/validation.json, validation.csv")
    click.echo("next: " + typed("plot", folder / "validation.json"))
