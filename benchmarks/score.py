"""What scoring costs: its time beside a plain forward, TextSpan's time per head, and memory as images grow in number.

`python benchmarks/score.py` measures all three offline, on models with random weights, and prints every figure with
its spread and its goal. Times are medians over interleaved rounds, `[least, most]` in brackets.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import click

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
if TYPE_CHECKING:
    from transformers import CLIPModel

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
    from headroles.moments import observe
    from headroles.score import resolve_layers

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
        moments.update(observe(model, pixels, moments.layers), torch.arange(images) % len(moments.count))

    chosen = {layers: resolve_layers(layers, model.visual.layers) for layers in ("deep", "all")}
    passes = {layers: partial(scoring, HeadMoments.empty(model, numbers)) for layers, numbers in chosen.items()}
    seconds = interleave({"plain": forward, **passes}, repeats)
    click.echo(f"speed: ViT-B/16, {images} images a batch, {repeats} rounds, {threads} threads")
    report("plain forward, seconds", seconds["plain"])
    for layers, numbers in chosen.items():
        ratios = [scored / base for scored, base in zip(seconds[layers], seconds["plain"], strict=True)]
        report(f"scoring {len(numbers)} layers / plain forward", ratios, GOALS["speed"])


def measure_textspan(repeats: int, threads: int) -> None:
    """Milliseconds a head of both steps of TextSpan, all heads in one batch."""
    import torch
    from torch.nn.functional import normalize

    from headroles.textspan import project_texts, text_span

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    texts, bases = normalize(torch.randn(TEXTS, EMBED), dim=-1), torch.randn(HEADS, WIDTH, EMBED)
    covariance = torch.stack([torch.randn(WIDTH, 1000, dtype=torch.float64).cov() for _ in range(HEADS)])[None]
    # As in `headroles.score.pick_texts`: texts in float32, R and the covariance in float64.
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
    from headroles.role_map import ImagesInfo
    from headroles.score import collect_moments, explain

    torch.set_num_threads(threads)
    model, config, peaks = open_model(size), ScoreConfig(), []
    images = ShapesImages(model.processor, count)
    moments, broken = collect_moments(model, images, config, progress=lambda *_: peaks.append(resident_peak()))
    explain(model, moments, ProbeBank.load("shapes"), config, ImagesInfo("shapes", count, broken))
    return [*peaks, resident_peak()]


def resident_peak() -> int:
    """Bytes: macOS counts in bytes, others in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_fresh_process(function: Callable[..., list[int]], *arguments: object) -> list[int]:
    """The function's result in a new interpreter, which on Linux starts with its parent's resident size as peak."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def open_model(size: str) -> HookedCLIP:
    """The bundled model, or a random one that reads images and texts of the shapes world."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.utils import logging

    from headroles import HookedCLIP, load
    from headroles.models import Preprocess
    from headroles.shapes.clip import build_tokenizer

    logging.disable_progress_bar()
    if size == "shapes":
        return load("shapes")
    side = SIDES[size]
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return HookedCLIP(random_clip(side), size, build_tokenizer(), Preprocess(processor))


def random_clip(side: int) -> CLIPModel:
    """OpenAI's ViT-B/16 with random weights, for images of `side` pixels and the shapes world's tokens."""
    from transformers import CLIPConfig, CLIPModel

    from headroles.shapes.clip import build_tokenizer

    marks = {f"{mark}_token_id": getattr(build_tokenizer(), f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
    return CLIPModel(CLIPConfig(vision_config={"image_size": side, "patch_size": 16}, text_config=marks)).eval()


def interleave(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every task in `repeats` rounds of all tasks, each round in another order, after one to warm up."""
    names, seconds = list(tasks), {name: [] for name in tasks}
    for turn in range(repeats + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            tasks[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in seconds.items()}


def report(label: str, values: Sequence[float], goal: float | None = None) -> None:
    """One line: median, spread and, where there is a goal, whether the median meets it."""
    middle = statistics.median(values)
    verdict = "" if goal is None else f"  goal <= {goal:g}: {'met' if middle <= goal else 'missed'}"
    click.echo(f"  {label:<48}{middle:10.3f}  [{min(values):.3f}, {max(values):.3f}]" + verdict)


if __name__ == "__main__":
    main()
