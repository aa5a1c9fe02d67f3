"""`headroles merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options.kinds import Bank, Existing, Model

_SHARD = Existing("shard", "make one with `headroles score --shard i/n`")


@click.command()
@click.argument("shards", nargs=-1, required=True, type=_SHARD)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="headroles-output",
    show_default=True,
    help="Folder for the results.",
)
@click.option("--model", type=Model(), help="Where the model is on this machine.  [default: the one that was scored]")
@click.option("--probes", type=Bank(), help="Where the bank is on this machine.  [default: the one that was asked for]")
@click.option("--encoder", help="Where the sentence encoder is on this machine.  [default: the one that was asked for]")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda, cuda:1 ...")
@click.option("--overwrite", is_flag=True, help="Replace a role map that is already in the output folder.")
def command(shards: tuple[Path, ...], output: Path, **given: Any) -> None:
    """Put shards of `headroles score --shard i/n` together to the role map of the whole run.

    SHARDS are the files, or the folders they are in. All n must be there, of one model, one set of images and the same
    settings; the role map equals that of one run over all images, by texts, by images or under discovered concepts.
    """
    from headroles.cli.options.score_report import report_score
    from headroles.jobs.merge import merge_job

    report_score(merge_job(shards, output, **given), output)
