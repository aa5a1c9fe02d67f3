"""What the benchmarks share: a random full-size CLIP, interleaved times, peak memory of fresh processes, printed lines.

Imports nothing heavy by itself: a process that measures memory starts with the resident size of this one as its peak.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from timeit import Timer
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from transformers import CLIPModel

    from headroles import HookedCLIP


def random_model(name: str, side: int) -> HookedCLIP:
    """A `random_clip` that reads images, and texts of the shapes world."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from headroles import HookedCLIP
    from headroles.bundled.clip import build_tokenizer
    from headroles.models.load import Preprocess

    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return HookedCLIP(random_clip(side), name, build_tokenizer(), Preprocess(processor))


def random_clip(side: int) -> CLIPModel:
    """OpenAI's ViT-B/16 with random weights, for images of `side` pixels and the shapes world's tokens."""
    from transformers import CLIPConfig, CLIPModel

    from headroles.bundled.clip import build_tokenizer

    marks = {f"{mark}_token_id": getattr(build_tokenizer(), f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
    return CLIPModel(CLIPConfig(vision_config={"image_size": side, "patch_size": 16}, text_config=marks)).eval()


def interleave(
    tasks: dict[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    short: bool = False,
) -> dict[str, list[float]]:
    """Seconds of every task in `repeats` rounds of all tasks, each round in another order, after one to warm up.

    `clock`: with time.process_time, those of the processor that this process got, whatever else the machine does.
    `short`: a turn repeats its task for about a fifth of a second, as `timeit` does, and the task's are the mean: what
    is short would else be a clock's grain and the cost of what the tasks before left in the processor's caches.
    """
    names, seconds = list(tasks), {name: [] for name in tasks}
    times = {name: Timer(task, timer=clock).autorange()[0] if short else 1 for name, task in tasks.items()}
    for turn in range(repeats + 1):
        first = turn % len(names)
        order = names[first:] + names[:first]
        for name in order[:: -1 if turn % 2 else 1]:
            start = clock()
            for _ in range(times[name]):
                tasks[name]()
            seconds[name].append((clock() - start) / times[name])
    return {name: taken[1:] for name, taken in seconds.items()}


def resident_peak() -> int:
    """Bytes: macOS counts in bytes, others in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_fresh_process(function: Callable[..., list[int]], *arguments: object) -> list[int]:
    """The function's result in a new interpreter, which on Linux starts with its parent's resident size as peak."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def report(label: str, values: Sequence[float], goal: float | None = None, least: float | None = None) -> None:
    """One line: median, spread and, where there is a goal (at most, or at `least`), whether the median meets it."""
    middle, verdict = statistics.median(values), ""
    if goal is not None:
        verdict = f"  goal <= {goal:g}: {'met' if middle <= goal else 'missed'}"
    elif least is not None:
        verdict = f"  goal >= {least:,g}: {'met' if middle >= least else 'missed'}"
    click.echo(f"  {label:<48}{middle:10.3f}  [{min(values):.3f}, {max(values):.3f}]" + verdict)


def report_ratios(label: str, above: Sequence[float], below: Sequence[float], goal: float | None = None) -> None:
    """`report` of the quotients, round by round."""
    report(label, [one / other for one, other in zip(above, below, strict=True)], goal)
