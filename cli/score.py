"""`headroles score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.groups import groups_option
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand
from headroles.shown import show_p

if TYPE_CHECKING:
    from headroles.jobs.score_job import Scored
    from headroles.roles.role_map import RoleMap

IMAGES = """
\b
IMAGES are one of
  shapes                      rendered scenes, offline
  photos/                     a folder of image files, at any depth
  list.csv                    a table with a column of paths (--column)
  shards/  shards/*.tar  "shards/{000..010}.tar"     tar files, as webdataset writes
  data/  data/*.parquet       parquet files with a column of images (--column)
  saved/                      a folder that datasets' save_to_disk wrote (--split)
  hf:NAME  hf:NAME:CONFIG     a data set of the Hugging Face hub, streamed (--split)
With --by images they need labels: shapes, a folder CONCEPT/VALUE/, or a table path,CONCEPT,CONCEPT...
"""


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


SECTIONS = {
    "Model and images": (
        "model", "activation", "images", "count", "column", "split", "key", "groups", "max_pixels",
        "strict",
    ),
    "What is computed": ("by", "preset", "layers", "bootstraps", "seed"),
    "By texts": (
        "probes", "texts_per_head", "selection", "weights", "prior_correction", "center_texts", "constants", "rank",
        "span_rank", "null_draws", "concepts", "encoder", "noise", "min_cluster_size",
    ),
    "By images": ("shares", "sharing"),
    "Roles": ("roles_by", "low", "high"),
    "How it runs": ("device", "precision", "compile", "batch", "workers", "shard", "resume", "save_every", "dry_run"),
    "Without some heads": ("ablate", "ablate_mode", "ablate_effect", "ablate_images"),
    "Results": ("output", "overwrite"),
}  # fmt: skip


@click.command(cls=SectionedCommand, sections=SECTIONS, epilog=IMAGES)
@click.option("--model", default="shapes", show_default=True, help="Name, folder, file or hub id: `headroles models`.")
@click.option("--activation", help="quick_gelu or gelu, for a weights file that does not say its own.")
@click.option("--images", default="shapes", show_default=True, help="What the heads see; see IMAGES below.")
@click.option(
    "--count", type=click.IntRange(min=2),
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
    help="Texts to describe heads with: a bank (see `headroles probes`) or a CSV file with columns text,concept.  "
    "[default: shapes for the bundled model, else general]",
)
@click.option(
    "--by", type=click.Choice(["texts", "images"]), default="texts", show_default=True,
    help="Describe heads by the texts that span them, or by labels of the images that their output follows.",
)
@click.option(
    "--as", "preset", type=click.Choice(["textspan", "dear"]),
    help="All definitions of a paper at once: textspan (arXiv 2310.05916), or dear (2603.01111), which discovers "
    "concepts (--encoder). What contradicts it is refused.  [default: ours]",
)
@click.option(
    "--concepts", type=click.Choice(["bank", "discover"]),
    help="Those of the bank, or clusters of the texts that heads pick (the CSV file then needs the column text "
    "alone).  [default: bank]",
)
@click.option(
    "--encoder", help="Sentence encoder to discover with, folder or hub id.  [default: all-MiniLM-L6-v2 of the hub]"
)
@click.option(
    "--noise", help="Texts in no discovered cluster: nearest joins one, own calls them other.  [default: nearest]"
)
@click.option(
    "--min-cluster-size", type=int, help="Texts that make a cluster.  [default: a 30th of all, within 5 and 20]"
)
@click.option(
    "--shares", help="What a concept explains: marginal, all of it, or unique, what no other does.  [default: marginal]"
)
@click.option(
    "--sharing", type=float, help="How much importances prefer heads that many concepts use, such as 0.3.  [default: 0]"
)
@click.option("--layers", help="deep (the last third), all, or such as 8-11 or 3,6.  [default: deep]")
@click.option(
    "--texts-per-head", type=int, help="Texts that describe a head, never more than its width.  [default: 20]"
)
@click.option(
    "--weights", help="What a text counts: its share of variance, or 1 (count).  [default: variance]"
)
@click.option("--selection", help="How TextSpan picks: std (original) or variance.  [default: std]")
@click.option("--roles-by", help="Rule for roles: threshold, quantile or null.  [default: threshold]")
@click.option(
    "--low", type=float,
    help="Attribute up to this entropy (or quantile).  [default: 0.7; by images 0.4; quantile: a third]",
)
@click.option(
    "--high", type=float,
    help="Generalization from this entropy (or quantile) on.  [default: 0.85; by images 0.6; quantile: two thirds]",
)
@click.option(
    "--prior-correction/--no-prior-correction", default=None,
    help="Divide a concept's weight by its share of the bank.  [default: no]",
)
@click.option(
    "--center-texts/--no-center-texts", default=None,
    help="Take the bank's mean text off before picking.  [default: no]",
)
@click.option(
    "--constants",
    help="Attention biases and the last LayerNorm's mean and beta: apart, or spread over the heads.  [default: apart]",
)
@click.option("--rank", type=int, help="Leading directions of a head that texts are projected on, if not all.")
@click.option("--span-rank", type=int, help="Directions of each concept's texts to hold heads against.  [default: 3]")
@click.option("--null-draws", type=int, help="Random rotations of each head: the null model.  [default: 1000]")
@click.option("--bootstraps", type=int, help="Resamples of image blocks, for intervals.  [default: 100]")
@click.option("--seed", default=0, show_default=True, help="Seed of scenes, shuffles and resamples.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU if there is one), cpu, cuda, cuda:1 ...")
@click.option(
    "--precision",
    help="Matrix products of the images' forward: no (fp32), bf16, fp16 (GPU only); sums are float64.  [default: no]",
)
@click.option("--compile", is_flag=True, help="Compile the MLPs with torch.compile: minutes at first, then faster.")
@click.option(
    "--batch", default="auto", show_default=True, callback=_batch,
    help="Images a forward. auto: 64 on a CPU, 256 on a GPU, there in halves when memory runs out.",
)
@click.option(
    "--workers", default="auto", show_default=True, callback=_workers,
    help="Processes that decode images. auto: none on a CPU; beside a GPU one a core but one, up to 8.",
)
@pixels_option
@click.option("--strict", is_flag=True, help="Refuse a broken image instead of naming it and leaving it out.")
@click.option("--shard", help="Score part i of n alone, such as 3/8, for `headroles merge` to put together.")
@click.option("--resume", is_flag=True, help="Go on with a pass that was stopped, to the same result.")
@click.option(
    "--save-every", type=click.FloatRange(min=0), default=60.0, show_default=True,
    help="Seconds between two saves of an unfinished pass (in OUTPUT/unfinished).",
)
@click.option(
    "--output", type=click.Path(path_type=Path), default="headroles-output", show_default=True,
    help="Folder for the results.",
)
@click.option("--dry-run", is_flag=True, help="Open and check everything, say how it would be read, and stop.")
@click.option("--overwrite", is_flag=True, help="Replace results, or an unfinished pass, in the output folder.")
@ablation_options
def command(output: Path, device: str, resume: bool, overwrite: bool, dry_run: bool, **given: Any) -> None:
    """Turn images into a role map: what does each head of a CLIP do?

    Writes role_map.json, role_map.csv and moments.safetensors (value_moments.safetensors by images; probes.csv too
    where concepts were discovered). Without arguments it scores the bundled model on rendered scenes, offline. Under
    `torchrun -m headroles score` the processes share the images.
    """
    from headroles.cli.options.reading_bar import ReadingBar
    from headroles.cli.options.score_kinds import check_placed, fill_preset
    from headroles.jobs.run_score import look, run_job
    from headroles.jobs.score_job import ScoreJob
    from headroles.models.checkpoints.checkpoint import join_activation

    given = fill_preset(given)
    check_placed(given)
    given["model"] = join_activation(given["model"], given.pop("activation"))
    job = ScoreJob(**_split(given))
    if dry_run:
        look(job, output, device=device, resume=resume, overwrite=overwrite)
        return
    with ReadingBar(given["images"]) as bar:
        scored = run_job(job, output, device=device, resume=resume, overwrite=overwrite, progress=bar)
    report(scored, output, given["texts_per_head"])


def _split(given: dict[str, Any]) -> dict[str, Any]:
    """The options as fields of ScoreJob: those that are settings of the role map go into its `settings`."""
    from dataclasses import fields

    from headroles.roles.config import ImageScoreConfig, ScoreConfig
    from headroles.roles.discovery import DiscoveryConfig

    kinds = {"settings": (ScoreConfig, ImageScoreConfig), "discovery": (DiscoveryConfig,)}
    names = {kind: {field.name for each in configs for field in fields(each)} for kind, configs in kinds.items()}
    parts = {
        kind: {name: value for name, value in given.items() if name in own and value is not None}
        for kind, own in names.items()
    }
    return parts | {name: value for name, value in given.items() if name not in set().union(*names.values())}


def report(scored: Scored, output: Path, texts_asked: int | None = None) -> None:
    """Roles per layer, the clearest head of every concept, and what to type next; by the main process alone."""
    from headroles.cli.options.score_kinds import report_variant
    from headroles.cli.options.stopped import typed
    from headroles.passes.processes import is_main

    if not is_main():
        return
    if scored.broken:
        names = ", ".join(scored.broken[:5]) + (" ..." if len(scored.broken) > 5 else "")
        click.echo(f"left out {len(scored.broken)} broken image files: {names}", err=True)
    role_map = scored.role_map
    if role_map is None:
        click.echo(f"wrote {scored.files[0]} ({scored.read:,} images; shards take turns at batches)")
        click.echo("next, with all shards: " + typed("merge", output, "--output", output))
        return
    texts = role_map.settings.get("texts_per_head")
    if texts_asked is not None and texts is not None and texts < texts_asked:
        click.echo(f"texts per head: {texts}, as many as a head is wide ({texts_asked} asked for)", err=True)
    report_variant(scored)
    _say_roles(role_map)
    if role_map.heads(role="silent") != role_map.heads():
        _say_chance(role_map)
        _say_clearest(role_map)
    click.echo(f"wrote {output}/{', '.join(path.name for path in scored.files)}")
    click.echo("next: " + typed("plot", output / "role_map.json"))


def _say_roles(role_map: RoleMap) -> None:
    """How many heads of each layer have each role, and how many of them stand out from chance."""
    if "ablation" in role_map.settings:
        click.echo(f"without {role_map.settings['ablation']['heads']}: cut heads are silent")
    kinds = list(role_map.counts())
    click.echo("layer  " + "  ".join(f"{kind:>14}" for kind in kinds))
    for layer in role_map.layers:
        counts = role_map.counts(layer)
        click.echo(f"{layer:>5}  " + "  ".join(f"{counts.get(kind, 0):>14}" for kind in kinds))
    if role_map.layers[-1] == role_map.model.layers:
        click.echo(f"layer {role_map.layers[-1]}: the heads of the pooling head")


def _say_chance(role_map: RoleMap) -> None:
    """How many Attribute heads stand out from chance, and how many of low entropy do not."""
    attribute = role_map.heads(role="attribute")
    clear = sum(head.stands_out for head in attribute)
    some = f"{clear}" if clear == len(attribute) else f"{clear} of {len(attribute)}"
    line = f"{some} Attribute {'head stands' if some == '1' else 'heads stand'} out from chance"
    low = role_map.settings["low"] if role_map.settings["roles_by"] == "threshold" else -1
    near = sum(head.entropy <= low for head in role_map.heads(role="mixed"))
    more = "1 more head has low entropy but does" if near == 1 else f"{near} more heads have low entropy but do"
    click.echo(line + (f"; {more} not (mixed)" if near else ""))
    if not attribute:
        click.echo("no head is an Attribute head by this rule; --roles-by quantile ranks the heads instead")


def _say_clearest(role_map: RoleMap) -> None:
    """The head of lowest entropy of every concept."""
    wide = max(12, *map(len, role_map.concepts))
    chance, first = ("1: chance on average", "text") if role_map.probe_kind == "text" else ("0 to 1", "value")
    click.echo(f"clearest head of each concept (entropy, {chance}; q; its first {first} of that concept):")
    for concept in role_map.concepts:
        heads = role_map.heads(concept=concept)
        if heads:
            head = heads[0]
            text = next((picked.text for picked in head.texts if picked.concept == concept), "-")
            numbers = f"{head.entropy:.2f}  {show_p(head.q_value)}"
            click.echo(f"  {concept:<{wide}} {head.name:<8} {head.role:<14} {numbers}  {text}")
        else:
            click.echo(f"  {concept:<{wide}} none")
