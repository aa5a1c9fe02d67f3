"""What scoring costs: its time beside a plain forward, TextSpan's time per head, and memory as images grow in number.

`python benchmarks/score.py` measures all three offline, on models with random weights, and prints every figure with
its spread and its goal. Times are medians over interleaved rounds, `[least, most]` in brackets.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

import click
from measure import in_fresh_process, interleave, random_clip, random_model, report, report_ratios, resident_peak

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
if TYPE_CHECKING:
    from headroles import HookedCLIP

FIGURES = ("memory", "speed", "textspan")
SIDES = {"medium": 64, "ViT-B/16": 224}
"""Image sides of the random models. "medium" has every weight and head of ViT-B/16, but 17 tokens in place of 197."""
COUNTS = (100, 2000)
"""Numbers of images whose memory is compared."""
GOALS = {"speed": 1.03, "textspan": 15.0, "memory": 1.02}
"""Scoring over plain forward; milliseconds a head; peak memory at the larger over that at the smaller count."""

TEXTS, EMBED, HEADS, WIDTH, PICKS = 3500, 512, 48, 64, 20
"""What TextSpan is timed on: the last four layers of a ViT-B/16."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(FIGURES), help="Measure this alone.")
@click.option("--images", type=click.IntRange(min=1), default=64, show_default=True, help="Batch of a timed forward.")
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Rounds (memory: at most 3).")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
@click.option(
    "--model-size", type=click.Choice(["shapes", *SIDES]), default="medium", show_default=True, help="Memory's model."
)
def main(only: str | None, images: int, repeats: int, threads: int, model_size: str) -> None:
    """Measure what scoring costs, and compare it with the goals."""
    measures = {
        "memory": partial(measure_memory, model_size, min(repeats, 3), threads),
        "speed": partial(measure_speed, images, repeats, threads),
        "textspan": partial(measure_textspan, repeats, threads),
    }
    for figure in (only,) if only else FIGURES:
        measures[figure]()


def measure_speed(images: int, repeats: int, threads: int) -> None:
    """Seconds of the scoring pass over those of a plain forward of the same images, on a full-size ViT-B/16."""
    import torch

    from headroles import HeadMoments, HookedCLIP
    from headroles.heads.moments import observe
    from headroles.models.layers import resolve_layers

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clip = random_clip(SIDES["ViT-B/16"])
    # The same weights in a model of its own: the plain forward must not pass through our hook points.
    plain = deepcopy(clip, {id(weight): weight for weight in clip.parameters()})
    model = HookedCLIP(clip, "ViT-B/16")
    pixels = torch.randn(images, 3, model.image_size, model.image_size)

    def forward() -> None:
        with torch.inference_mode():
            plain.get_image_features(pixel_values=pixels)

    def scoring(moments: HeadMoments) -> None:
        moments.update(observe(model, pixels, moments.layers), torch.zeros(images, dtype=torch.long))

    chosen = {layers: resolve_layers(layers, model.visual.layers) for layers in ("deep", "all")}
    passes = {layers: partial(scoring, HeadMoments.empty(model, numbers)) for layers, numbers in chosen.items()}
    seconds = interleave({"plain": forward, **passes}, repeats)
    click.echo(f"speed: ViT-B/16, {images} images a batch, {repeats} rounds, {threads} threads")
    report("plain forward, seconds", seconds["plain"])
    for layers, numbers in chosen.items():
        label = f"scoring {len(numbers)} layers / plain forward"
        report_ratios(label, seconds[layers], seconds["plain"], GOALS["speed"])


def measure_textspan(repeats: int, threads: int) -> None:
    """Milliseconds a head of both steps of TextSpan, all heads in one batch."""
    import torch
    from torch.nn.functional import normalize

    from headroles.roles.textspan import project_texts, text_span

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    texts, bases = normalize(torch.randn(TEXTS, EMBED), dim=-1), torch.randn(HEADS, WIDTH, EMBED)
    covariance = torch.stack([torch.randn(WIDTH, 1000, dtype=torch.float64).cov() for _ in range(HEADS)])[None]
    # As in `headroles.roles.picks.pick_texts`: texts in float32, R and the covariance in float64.
    projected, factor = project_texts(texts, bases, center=True)
    steps = {
        "project": partial(project_texts, texts, bases, center=True),
        "pick": partial(text_span, projected, factor.double(), covariance, PICKS),
    }
    seconds = interleave(steps, repeats)
    project, pick = ([1000 * each / HEADS for each in seconds[step]] for step in steps)
    click.echo(
        f"textspan: {TEXTS:,} texts, {PICKS} picks, {HEADS} heads of width {WIDTH}, {repeats} rounds, {threads} threads"
    )
    report("project_texts (T Q), ms a head", project)
    report("text_span (picks), ms a head", pick)
    report("both, ms a head", [sum(parts) for parts in zip(project, pick, strict=True)], GOALS["textspan"])


def measure_memory(size: str, repeats: int, threads: int) -> None:
    """Peak resident memory of fresh processes that score the two `COUNTS` of images of the shapes world.

    The whole scoring peaks after the pass over the images, in steps that need the same for any number of them. That
    would hide a pass that grows, so its second half is compared with its first, within one process.
    """
    click.echo(f"memory: {size} model, {COUNTS[0]:,} and {COUNTS[1]:,} images, {repeats} rounds, {threads} threads")
    rounds = [[in_fresh_process(peak_memory, size, count, threads) for count in COUNTS] for _ in range(repeats)]
    few, many = zip(*rounds, strict=True)
    for count, measured in zip(COUNTS, (few, many), strict=True):
        report(f"whole scoring, peak MB at {count:,} images", [each[-1] / 1e6 for each in measured])
    ratios = [more[-1] / less[-1] for less, more in rounds]
    report(f"whole scoring, {COUNTS[1]:,} / {COUNTS[0]:,} images", ratios, GOALS["memory"])
    report(f"pass alone, peak MB at {COUNTS[1]:,} images", [each[-2] / 1e6 for each in many])
    ratios = [each[-2] / each[len(each) // 2 - 1] for each in many]
    report("pass alone, all / first half of the images", ratios, GOALS["memory"])


def peak_memory(size: str, count: int, threads: int) -> list[int]:
    """Peak resident bytes of this process after every batch of the pass over `count` images, and after scoring."""
    import torch

    from headroles import ProbeBank, ScoreConfig, ShapesImages
    from headroles.roles.role_map import ImagesInfo
    from headroles.roles.score_texts import collect_moments, explain

    torch.set_num_threads(threads)
    model, config, peaks = open_model(size), ScoreConfig(), []
    images = ShapesImages(model.processor, count)
    moments, seen = collect_moments(model, images, config, progress=lambda *_: peaks.append(resident_peak()))
    explain(model, moments, ProbeBank.load("shapes"), config, ImagesInfo("shapes", count, seen.broken_names))
    return [*peaks, resident_peak()]


def open_model(size: str) -> HookedCLIP:
    """The bundled model, or a random one that reads images and texts of the shapes world."""
    from transformers.utils import logging

    from headroles import load

    logging.disable_progress_bar()
    return load("shapes") if size == "shapes" else random_model(size, SIDES[size])


if __name__ == "__main__":
    main()
