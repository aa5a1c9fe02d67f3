"""`headroles score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.activation import activation_option
from headroles.cli.options.config import config_option
from headroles.cli.options.groups import groups_option
from headroles.cli.options.kinds import Bank, Choice, Images, Model
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.score_help import IMAGES, SECTIONS
from headroles.cli.options.sections import SectionedCommand


def _batch(context: click.Context, option: click.Parameter, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"must be auto or a number from 1 on, got {text!r}")
    return int(text)


def _workers(context: click.Context, option: click.Parameter, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise click.BadParameter(f"must be auto or a number from 0 on, got {text!r}")
    return int(text)


@click.command(cls=SectionedCommand, sections=SECTIONS, epilog=IMAGES)
@click.option(
    "--model", type=Model(), default="shapes", show_default=True,
    help="Name, folder, file or hub id: `headroles models`.",
)  # fmt: skip
@activation_option
@click.option(
    "--texts-from", type=Model(), metavar="CLIP",
    help="The CLIP that a vision tower without texts comes from, such as a LLaVA's.",
)  # fmt: skip
@click.option(
    "--align-to", type=Model(), metavar="CLIP",
    help="Give a vision tower without texts, such as a DINOv2, those of a CLIP, by a linear map learned on the images.",
)
@click.option(
    "--images", type=Images("shapes"),
    help="What the heads see; see IMAGES below.  [default: shapes; by weights, of texts none]",
)  # fmt: skip
@click.option(
    "--count",
    type=click.IntRange(min=2),
    help="Images to use, spread evenly over all; of a stream the first.  [default: 2000 scenes, or all images]",
)
@click.option(
    "--column",
    help="Column of a CSV file, parquet file or data set.  [default: path in a CSV file, else the only one of images]",
)
@click.option("--split", help="Split of a data set, such as train.  [default: the only one]")
@click.option("--key", help="Which image of a tar file's samples: jpg, where 0001.seg.png is the mask of 0001.jpg.")
@groups_option
@click.option(
    "--probes",
    type=Bank(),
    help="Texts to describe heads with: a bank (see `headroles probes`) or a CSV file with columns text,concept.  "
    "[default: shapes for a bundled model, else general]",
)
@click.option(
    "--by",
    type=Choice(["texts", "images", "weights"]),
    default="texts",
    show_default=True,
    help="Describe heads by the texts that span their outputs, by labels of the images that their outputs follow, or "
    "by weights alone: texts that make up what they can write.",
)
@click.option(
    "--as",
    "preset",
    type=Choice(["textspan", "dear"]),
    help="All definitions of a paper at once: textspan (arXiv 2310.05916), or dear (2603.01111), which discovers "
    "concepts (--encoder). What contradicts it is refused.  [default: ours]",
)
@click.option(
    "--concepts",
    type=Choice(["bank", "discover"]),
    help="Those of the bank, or clusters of the texts that heads pick (the CSV file then needs the column text "
    "alone).  [default: bank]",
)
@click.option(
    "--encoder", help="Sentence encoder to discover with, folder or hub id.  [default: all-MiniLM-L6-v2 of the hub]"
)
@click.option(
    "--noise",
    type=Choice(choices.NOISE),
    help="Texts in no discovered cluster: nearest joins one, own calls them other.  [default: nearest]"
)
@click.option(
    "--min-cluster-size", type=int, help="Texts that make a cluster.  [default: a 30th of all, within 5 and 20]"
)
@click.option(
    "--shares",
    type=Choice(choices.SHARES),
    help="What a concept explains: marginal, all of it, or unique, what no other does.  [default: marginal]"
)
@click.option(
    "--sharing", type=float, help="How much importances prefer heads that many concepts use, such as 0.3.  [default: 0]"
)
@click.option(
    "--tower",
    type=Choice(["visual", "text"]),
    help="Whose heads; those of the text tower by texts or by weights.  [default: visual]",
)
@click.option(
    "--texts",
    metavar="FILE",
    help="By texts, what goes into the text tower: a file of one text a line, a CSV file with the column text, or a "
    "bank.  [default: those of --probes]",
)
@click.option("--texts-per-direction", type=int, help="Texts that make up each way of a direction.  [default: 5]")
@click.option(
    "--coherence",
    type=float,
    help="How much texts that are alike are preferred; 0: not at all.  [default: 0.5]",
)
@click.option(
    "--reading",
    type=Choice(choices.READINGS),
    help="A direction counts by what earlier heads write along what it reads, or all read equally: heads, equal.  "
    "[default: heads]",
)
@click.option("--directions-per-head", type=int, help="Directions that the role map names.  [default: 8]")
@click.option("--layers", help="deep (the last third), all, or such as 8-11 or 3,6.  [default: deep]")
@click.option(
    "--texts-per-head", type=int, help="Texts that describe a head, never more than its width.  [default: 20]"
)
@click.option(
    "--weights", type=Choice(choices.WEIGHTS),
    help="What a text counts: its share of variance, or 1 (count).  [default: variance]",
)  # fmt: skip
@click.option(
    "--selection", type=Choice(choices.SELECTIONS), help="How TextSpan picks: std is the original.  [default: std]"
)
@click.option("--roles-by", type=Choice(choices.RULES), help="Rule for roles.  [default: threshold]")
@click.option(
    "--low",
    type=float,
    help="Attribute up to this entropy (or quantile).  [default: 0.7; by images 0.4; quantile: a third]",
)
@click.option(
    "--high",
    type=float,
    help="Generalization from this entropy (or quantile) on.  [default: 0.85; by images 0.6; quantile: two thirds]",
)
@click.option(
    "--prior-correction/--no-prior-correction",
    default=None,
    help="Divide a concept's weight by its share of the bank.  [default: no]",
)
@click.option(
    "--center-texts/--no-center-texts",
    default=None,
    help="Take the bank's mean text off before picking.  [default: no; by weights yes]",
)
@click.option(
    "--constants",
    type=Choice(choices.CONSTANTS),
    help="Attention biases and the last LayerNorm's mean and beta: apart, or spread over the heads.  [default: apart]",
)
@click.option("--rank", type=int, help="Leading directions of a head that texts are projected on, if not all.")
@click.option("--span-rank", type=int, help="Directions of each concept's texts to hold heads against.  [default: 3]")
@click.option(
    "--null-draws",
    type=int,
    help="Random rotations of each head (by weights: random writers): the null model.  [default: 1000]",
)
@click.option("--bootstraps", type=int, help="Resamples of image blocks, for intervals.  [default: 100]")
@click.option("--seed", default=0, show_default=True, help="Seed of scenes, shuffles and resamples.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda, cuda:1 ...")
@click.option(
    "--precision",
    type=Choice(choices.PRECISIONS),
    help="Matrix products of the images' forward: no (fp32), bf16, fp16 (GPU only); sums are float64.  [default: no]",
)
@click.option("--compile", is_flag=True, help="Compile the MLPs with torch.compile: minutes at first, then faster.")
@click.option(
    "--batch",
    default="auto",
    show_default=True,
    callback=_batch,
    help="Images a forward. auto: 64 on a CPU, 256 on a GPU, there in halves when memory runs out.",
)
@click.option(
    "--workers",
    default="auto",
    show_default=True,
    callback=_workers,
    help="Processes that decode images. auto: none on a CPU; beside a GPU one a core but one, up to 8.",
)
@pixels_option
@click.option("--strict", is_flag=True, help="Refuse a broken image instead of naming it and leaving it out.")
@click.option("--shard", help="Score part i of n alone, such as 3/8, for `headroles merge` to put together.")
@click.option("--resume", is_flag=True, help="Go on with a pass that was stopped, to the same result.")
@click.option(
    "--save-every",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds between two saves of an unfinished pass (in OUTPUT/unfinished).",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="headroles-output",
    show_default=True,
    help="Folder for the results.",
)
@click.option("--dry-run", is_flag=True, help="Open and check everything, say how it would be read, and stop.")
@click.option("--overwrite", is_flag=True, help="Replace results, or an unfinished pass, in the output folder.")
@ablation_options
@config_option
def command(output: Path, device: str, resume: bool, overwrite: bool, dry_run: bool, **given: Any) -> None:
    """Turn images into a role map: what does each head of a CLIP do?

    Writes role_map.json, role_map.csv and moments.safetensors (value_moments.safetensors by images, none by weights;
    probes.csv too where concepts were discovered). Without arguments it scores the bundled model on rendered scenes,
    offline. Under `torchrun -m headroles score` the processes share the images.
    """
    from headroles.cli.options.reading_bar import ReadingBar
    from headroles.cli.options.score_kinds import check_placed, fill_preset
    from headroles.cli.options.score_report import report_score
    from headroles.jobs.run_score import look, run_job
    from headroles.jobs.score_job import ScoreJob
    from headroles.models.known_models import join_activation
    from headroles.models.words import join_names

    given = fill_preset(given)
    check_placed(given)
    given["model"] = join_activation(given["model"], given.pop("activation"))
    given["model"] = join_names(given["model"], given.pop("texts_from"))
    job = ScoreJob(**_split(given))
    if dry_run:
        look(job, output, device=device, resume=resume, overwrite=overwrite)
        return
    with ReadingBar(given["images"]) as bar:
        scored = run_job(job, output, device=device, resume=resume, overwrite=overwrite, progress=bar)
    report_score(scored, output, given["texts_per_head"])


def _split(given: dict[str, Any]) -> dict[str, Any]:
    """The options as fields of ScoreJob: those that are settings of the role map go into its `settings`."""
    from dataclasses import fields

    from headroles.roles.config import CONFIGS
    from headroles.roles.discovery import DiscoveryConfig

    kinds: dict[str, list[type[Any]]] = {"settings": [*CONFIGS.values()], "discovery": [DiscoveryConfig]}
    names = {kind: {field.name for each in configs for field in fields(each)} for kind, configs in kinds.items()}
    parts = {
        kind: {name: value for name, value in given.items() if name in own and value is not None}
        for kind, own in names.items()
    }
    return parts | {name: value for name, value in given.items() if name not in set().union(*names.values())}
