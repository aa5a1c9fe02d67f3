"""What scoring costs: its time beside a plain forward, TextSpan's time, and memory as images grow in number.

`python benchmarks/score.py` measures all of it offline, on models with random weights, and prints every figure with
its spread and its goal. Times are medians over interleaved rounds, `[least, most]` in brackets. Times of one machine
say little about another's, so TextSpan's goals are ratios within one run: to a naive implementation on stored outputs,
and of its time with a busy process beside it to that alone; the null model alone has a goal in seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import click
from benchmark import benchmark
from measure import in_fresh_process, interleave, random_clip, random_model, report, report_ratios, resident_peak

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from torch import Tensor

    from headroles import HookedCLIP

FIGURES = ("memory", "speed", "textspan", "busy", "null")
SIDES = {"medium": 64, "ViT-B/16": 224}
"""Image sides of the random models. "medium" has every weight and head of ViT-B/16, but 17 tokens in place of 197."""
COUNTS = (100, 2000)
"""Numbers of images whose memory is compared."""
GOALS = {"speed": 1.03, "memory": 1.02, "textspan": 1000.0, "busy": 2.5, "null": 60.0}
"""Scoring over plain forward; peak memory at the larger over that at the smaller count; naive over ours, at least;
beside a busy process over alone; seconds."""

TEXTS, EMBED, HEADS, WIDTH, PICKS = 3500, 512, 48, 64, 20
"""What TextSpan is timed on: the last four layers of a ViT-B/16."""
STORED, DRAWS = 10_000, 300
"""Images whose outputs the naive implementation reads; rotations of the null model."""


@benchmark()
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
        "busy": partial(measure_busy, repeats, threads),
        "null": partial(measure_null, min(repeats, 3), threads),
    }
    click.echo(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}")
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
    """A head's time in a batch of heads, over that of a naive implementation on its stored outputs."""
    import torch

    torch.set_num_threads(threads)
    texts, bases, covariance = draw_heads()
    outputs = torch.randn(STORED, WIDTH) @ bases[0]
    span = partial(span_heads, texts, bases, covariance)
    span()
    ours, naive = [], []
    for _ in range(repeats):
        ours.append(processor_seconds(span) / HEADS)
        naive.append(processor_seconds(partial(span_stored, outputs, texts, PICKS)))
    click.echo(
        f"textspan: {TEXTS:,} texts, {PICKS} picks, {HEADS} heads of width {WIDTH}, {repeats} rounds, {threads} threads"
    )
    report("on moments, ms of a core a head", [1000 * each for each in ours])
    report(f"naive, {STORED:,} images stored, ms of a core a head", [1000 * each for each in naive])
    report("naive / on moments", [one / other for one, other in zip(naive, ours, strict=True)], least=GOALS["textspan"])


def measure_busy(repeats: int, threads: int) -> None:
    """The same beside another process that does the same, over alone."""
    import torch

    torch.set_num_threads(threads)
    span, alone, beside = partial(span_heads, *draw_heads()), [], []
    for _ in range(repeats):
        alone += interleave({"span": span}, 1)["span"]
        with busy_process(threads):
            beside += interleave({"span": span}, 1)["span"]
    click.echo(f"busy: as textspan, {repeats} rounds, {threads} threads, the other process {threads}")
    report(f"alone, seconds for {HEADS} heads", alone)
    report("beside a busy process / alone", [b / a for b, a in zip(beside, alone, strict=True)], GOALS["busy"])


def measure_null(repeats: int, threads: int) -> None:
    """Seconds of the null model of all heads."""
    import torch

    from headroles.roles.null import null_picks
    from headroles.roles.textspan import project_texts, share_out

    torch.set_num_threads(threads)
    texts, bases, covariance = draw_heads()
    projected, factor = project_texts(texts, bases)
    sigma = factor.double() @ covariance[0] @ factor.double().mT

    def rotate(head: int) -> None:
        null_picks(projected[head], sigma[head], DRAWS, PICKS, "std", 0)

    taken, cores = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        cores.append(processor_seconds(lambda: share_out(rotate, range(HEADS))))
        taken.append(time.perf_counter() - start)
    click.echo(f"null: {DRAWS} rotations, {TEXTS:,} texts, {PICKS} picks, {repeats} rounds, {threads} threads")
    report(f"{HEADS} heads of width {WIDTH}, seconds", taken, GOALS["null"])
    report("seconds of a core", cores)


def processor_seconds(task: Callable[[], object]) -> float:
    """What a task takes of this process's cores: others on the machine change it little."""
    start = time.process_time()
    task()
    return time.process_time() - start


def draw_heads() -> tuple[Tensor, Tensor, Tensor]:
    """Random texts (text, embed), bases (head, width, embed) and covariances (draw, head, width, width)."""
    import torch
    from torch.nn.functional import normalize

    torch.manual_seed(0)
    covariance = torch.stack([torch.randn(WIDTH, 1000, dtype=torch.float64).cov() for _ in range(HEADS)])
    return normalize(torch.randn(TEXTS, EMBED), dim=-1), torch.randn(HEADS, WIDTH, EMBED), covariance[None]


def span_heads(texts: Tensor, bases: Tensor, covariance: Tensor) -> None:
    """Both steps of TextSpan, all heads; as in `headroles.roles.picks`: texts in float32, the rest in float64."""
    from headroles.roles.textspan import project_texts, text_span

    projected, factor = project_texts(texts, bases)
    text_span(projected, factor.double(), covariance, PICKS)


def span_stored(outputs: Tensor, texts: Tensor, picks: int) -> None:
    """Algorithm 1 of TextSpan (2310.05916) as it stands, on one head's outputs (image, embed).

    Texts are projected on the outputs' span first, as TextSpan's code does.
    """
    import torch

    outputs = outputs - outputs.mean(0)
    directions = torch.linalg.svd(outputs, full_matrices=False)[2][:WIDTH]
    texts = texts @ directions.T @ directions
    for _ in range(picks):
        best = texts[(outputs @ texts.T).std(0).argmax()].clone()
        square = best @ best
        outputs -= torch.outer(outputs @ best / square, best)
        texts -= torch.outer(texts @ best / square, best)


@contextmanager
def busy_process(threads: int) -> Iterator[None]:
    """Another process that spans heads all the while."""
    context = get_context("spawn")
    ready = context.Event()
    process = context.Process(target=keep_busy, args=(threads, ready), daemon=True)
    process.start()
    try:
        ready.wait()
        yield
    finally:
        process.terminate()
        process.join()


def keep_busy(threads: int, ready: Event) -> None:
    """Until this process is ended."""
    import torch

    torch.set_num_threads(threads)
    heads = draw_heads()
    while True:
        span_heads(*heads)
        ready.set()


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
