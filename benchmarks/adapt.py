"""What a training step costs: of every method beside DeAR's and beside its own plain implementation; of DeAR by MMRL's.

`python benchmarks/adapt.py` measures offline, on a full-size ViT-B/16 CLIP with random weights (`--model shapes`: on
the bundled model), and prints every figure with its spread. A step is forward, losses, backward and optimizer. Times
are medians over interleaved rounds, ratios medians over the rounds' own, `[least, most]` in brackets; peaks are those
of fresh processes that take one variant's steps and nothing else. What plain implementations are, `plain_methods.py`
says. Class names are random words, so that texts have all the same length and begin alike only as the template does.

Of DeAR and MMRL (`mmrl.py`) there is more: CLIP's first tokenizer, and so MMRL, pads every text to the context of 77
tokens; ours pads to the longest text, which changes no embedding. Both comparisons are printed: as published, and with
MMRL's texts as short as ours. `--length 77` compares at the full context instead.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from benchmark import benchmark
from measure import in_fresh_process, interleave, random_model, report, report_ratios, resident_peak

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
if TYPE_CHECKING:
    from mmrl import Mmrl
    from plain import Given
    from torch import Tensor

    from headroles import HookedCLIP
    from headroles.adapt import Dear
    from headroles.adapt.data.task import Task

FIGURES = ("memory", "time", "method-memory", "methods")
CONTEXT = 77
"""Tokens that CLIP's tokenizer pads a text to."""
SHORT, PADDED = "MMRL, texts as short as ours", f"MMRL, texts padded to {CONTEXT}"
SHARED, TWICE, CACHED = "DeAR, trunk shared", "DeAR, trunk not shared", "DeAR, trunk cached"
VARIANTS = (PADDED, SHORT, TWICE, SHARED, CACHED)
GOAL = 0.5
"""A step that shares the trunk over one of MMRL."""
PLAIN_GOAL = 1.05
"""A step of any method over one of its plain implementation."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
RANDOM, BUNDLED = MODELS = ("random-vit-b-16", "shapes")
STEPS = 2
"""Steps before a peak is read: from the second on, AdamW's moments are there too."""
SEED = 0


@dataclass(frozen=True)
class Load:
    """What a step works on."""

    batch: int
    """Images."""
    classes: int
    """Texts."""
    length: int
    """Tokens of the longest text, its marks included."""
    threads: int
    """Threads of torch."""
    model: str = RANDOM
    """One of MODELS."""
    clock: str = "wall"
    """One of CLOCKS."""
    template: str = "a photo of a {}."
    """The classes' prompt."""

    def names(self, model: HookedCLIP) -> list[str]:
        """The classes' names, such that all texts have the full length."""
        from steps import draw_names

        return draw_names(model, self.classes, self.length, self.template)

    def prompts(self, model: HookedCLIP) -> list[str]:
        """One text a class."""
        return [self.template.replace("{}", name) for name in self.names(model)]

    def __str__(self) -> str:
        texts = f"{self.classes} classes, texts {self.template!r} of {self.length} tokens"
        return f"{self.model}, batch {self.batch}, {texts}, {self.threads} threads, {self.clock} time"


@benchmark()
@click.option("--only", type=click.Choice(FIGURES), help="Measure this alone.")
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Rounds (memory: at most 3).")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Images of a step.")
@click.option("--classes", type=click.IntRange(min=2), default=50, show_default=True, help="Texts of a step.")
@click.option("--length", type=click.IntRange(10, CONTEXT), default=16, show_default=True, help="Tokens of a text.")
@click.option("--template", default=Load.template, show_default=True, help="Prompt; {} alone: texts share no word.")
@click.option("--model", type=click.Choice(MODELS), default=RANDOM, show_default=True)
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="wall", show_default=True, help="cpu: busy machines.")
@click.option("--builds", type=click.IntRange(min=1), default=1, show_default=True, help="Of every method, on its own.")
@click.option("--method", "methods", multiple=True, help="Of the registry; by default all that take steps.")
def main(only: str | None, repeats: int, builds: int, methods: tuple[str, ...], **load_of: Any) -> None:
    """Measure what a training step costs, and compare it with the goals."""
    load = Load(**load_of)
    measures = {
        "memory": partial(measure_memory, load, min(repeats, 3)),
        "time": partial(measure_time, load, repeats),
        "method-memory": partial(measure_method_memory, load, methods),
        "methods": partial(measure_methods, load, repeats, builds, methods),
    }
    for figure in (only,) if only else FIGURES:
        measures[figure]()


def measure_time(load: Load, repeats: int) -> None:
    """Seconds of a step of every variant, all on one frozen model, and their ratios to MMRL's."""
    with TemporaryDirectory() as folder:
        model = open_model(load)
        seconds = interleave(
            {name: build_step(name, model, load, Path(folder)) for name in VARIANTS}, repeats, CLOCKS[load.clock]
        )
    click.echo(f"time of a training step: {load}, {repeats} rounds")
    for name in VARIANTS:
        report(f"{name}, seconds", seconds[name])
    for below in (PADDED, SHORT):
        click.echo(f"  over {below}:")
        for above in (TWICE, SHARED, CACHED):
            report_ratios(f"  {above}", seconds[above], seconds[below], GOAL if above == SHARED else None)


def measure_memory(load: Load, repeats: int) -> None:
    """Peak resident memory of processes that take `STEPS` steps; weights and libraries are most of it."""
    rounds = [{name: in_fresh_process(peak_memory, name, load) for name in VARIANTS} for _ in range(repeats)]
    click.echo(f"memory of training: {load}, {repeats} rounds")
    report("before the first step, peak MB", [each[name][0] / 1e6 for each in rounds for name in VARIANTS])
    for name in VARIANTS:
        report(f"{name}, peak MB", [each[name][1] / 1e6 for each in rounds])
    for below in (PADDED, SHORT):
        click.echo(f"  over {below}:")
        for above in (TWICE, SHARED, CACHED):
            report_ratios(f"  {above}", [each[above][1] for each in rounds], [each[below][1] for each in rounds])


def measure_methods(load: Load, repeats: int, builds: int, methods: tuple[str, ...]) -> None:
    """A Markdown row a method: milliseconds, and ratios of its step to the plain one and of DeAR's to it.

    Where tensors lie in memory may move a short step for as long as it lives: `builds` of each tell that from what the
    code costs.
    """
    from steps import STEPPING

    given = draw_steps(load)
    click.echo(f"training steps: {load}, {repeats} rounds of {builds} builds each\n")
    click.echo("| method | trained | ms | plain, ms | over plain | goal <= 1.05 | DeAR over it |\n|---|" + "---:|" * 6)
    for name in methods or STEPPING:
        seconds, trained = time_method(name, given, repeats, builds, CLOCKS[load.clock])
        ours, plain = seconds["ours"], seconds["plain"]
        cells = (
            *(name, f"{trained:,}", milliseconds(ours), milliseconds(plain), ratios(ours, plain)),
            *("met" if middle_ratio(ours, plain) <= PLAIN_GOAL else "missed", ratios(seconds["dear"], ours)),
        )
        click.echo(f"| {' | '.join(cells)} |")


def time_method(
    name: str, given: Given, repeats: int, builds: int, clock: Callable[[], float]
) -> tuple[dict[str, list[float]], int]:
    """Seconds of a step, "ours", "plain" and "dear", and how many numbers both forms of the method train."""
    from steps import build_ours, build_plain

    seconds: dict[str, list[float]] = {"ours": [], "plain": [], "dear": []}
    for _ in range(builds):
        (ours, trained), (plain, as_many), (dear, _) = (
            build_ours(name, given), build_plain(name, given), build_ours("dear", given),
        )  # fmt: skip
        if trained != as_many:
            raise click.ClickException(f"{name} trains {trained} numbers, its plain form {as_many}")
        tasks = {"ours": ours, "plain": plain, "dear": dear}
        for label, taken in interleave(tasks, repeats, clock, short=True).items():
            seconds[label] += taken
    return seconds, trained


def measure_method_memory(load: Load, methods: tuple[str, ...]) -> None:
    """A Markdown row a method: how far its steps, and those of its plain implementation, raise a process's peak."""
    from steps import STEPPING

    click.echo(f"peak memory of training steps beyond the open model: {load}\n")
    click.echo("| method | MB | plain, MB | over plain |\n|---|---:|---:|---:|")
    for name in methods or STEPPING:
        peaks = [in_fresh_process(method_peak, name, form, load) for form in ("ours", "plain")]
        rise, other = ((after - before) / 1e6 for before, after in peaks)
        click.echo(f"| {name} | {rise:.0f} | {other:.0f} | {rise / other:.3f} |")


def method_peak(name: str, form: str, load: Load) -> list[int]:
    """Peak resident bytes of this process once the model is there, and after the steps."""
    from steps import build_ours, build_plain

    given = draw_steps(load)
    peaks = [resident_peak()]
    step, _ = (build_ours if form == "ours" else build_plain)(name, given)
    for _ in range(STEPS):
        step()
    return [*peaks, resident_peak()]


def draw_steps(load: Load) -> Given:
    """The model, and what a step works on."""
    from steps import draw_given

    model = open_model(load)
    return draw_given(model, load.batch, load.names(model), load.template)


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, with a digit behind the point where it is short."""
    middle = 1e3 * statistics.median(seconds)
    return f"{middle:.0f}" if middle >= 10 else f"{middle:.2g}"


def ratios(above: Sequence[float], below: Sequence[float]) -> str:
    """Median of the quotients, round by round, and their spread."""
    found = [one / other for one, other in zip(above, below, strict=True)]
    return f"{statistics.median(found):.3f} [{min(found):.3f}, {max(found):.3f}]"


def middle_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the quotients, round by round."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def peak_memory(variant: str, load: Load) -> list[int]:
    """Peak resident bytes of this process once the model is there, and after the steps."""
    with TemporaryDirectory() as folder:
        model = open_model(load)
        peaks = [resident_peak()]
        step = build_step(variant, model, load, Path(folder))
        for _ in range(STEPS):
            step()
    return [*peaks, resident_peak()]


def open_model(load: Load) -> HookedCLIP:
    """A frozen ViT-B/16 with random weights, or the bundled model."""
    import torch
    from steps import open_bundled
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(load.threads)
    torch.manual_seed(SEED)
    return open_bundled() if load.model == BUNDLED else random_model("ViT-B/16", 224)


def build_step(variant: str, model: HookedCLIP, load: Load, folder: Path) -> Callable[[], None]:
    """A function that takes one training step of a variant; what is computed once a run is computed here."""
    import torch
    from mmrl import Mmrl
    from steps import alternate_roles, stepping

    from headroles.adapt import Dear
    from headroles.adapt.config import TrainConfig
    from headroles.adapt.methods.trained_group import TrainedGroup

    torch.manual_seed(SEED)
    if variant in (PADDED, SHORT):
        method = Mmrl(model)
        loss = mmrl_loss(method, load, model.context if variant == PADDED else load.length)
    else:
        method = Dear(model, alternate_roles(model))
        losses = {TWICE: twice_loss, SHARED: shared_loss, CACHED: partial(cached_loss, folder=folder)}
        loss = losses[variant](method, load)
    trained = tuple(tensor for tensor in method.parameters() if tensor.requires_grad)
    return stepping(loss, (TrainedGroup(trained),), TrainConfig())


def mmrl_loss(mmrl: Mmrl, load: Load, length: int) -> Callable[[], Tensor]:
    """From pixels and texts padded to `length` to MMRL's loss."""
    pixels, labels = draw_images(load, mmrl.model)
    tokenize = mmrl.model.tokenizer
    ids = tokenize(load.prompts(mmrl.model), padding="max_length", max_length=length, return_tensors="pt")["input_ids"]
    return partial(mmrl, pixels, labels, ids, mmrl.frozen_texts(ids))


def twice_loss(dear: Dear, load: Load) -> Callable[[], Tensor]:
    """As with `share_trunk` off: both branches start from pixels, and every step runs the texts' trunk."""
    from headroles.adapt.methods.features import Batch, add_terms

    (pixels, labels), prompts = draw_images(load, dear.model), load.prompts(dear.model)

    def loss() -> Tensor:
        frozen, texts = dear.frozen_targets(dear.image_trunk(pixels)), dear.text_trunk(prompts)
        return add_terms(dear(Batch(dear.image_trunk(pixels), labels, texts, frozen))[1])

    return loss


def shared_loss(dear: Dear, load: Load) -> Callable[[], Tensor]:
    """One image trunk a step, one text trunk a run."""
    from headroles.adapt.methods.features import Batch, add_terms

    (pixels, labels), texts = draw_images(load, dear.model), dear.text_trunk(load.prompts(dear.model))
    return lambda: add_terms(dear(Batch(dear.image_trunk(pixels), labels, texts))[1])


def cached_loss(dear: Dear, load: Load, folder: Path) -> Callable[[], Tensor]:
    """As with `cache_views`: trunks and frozen embeddings come from files, and reading them is part of a step."""
    from headroles.adapt.config import TrainConfig
    from headroles.adapt.methods.features import add_terms
    from headroles.adapt.training.processes import open_accelerator
    from headroles.adapt.training.trunk_cache import Trunks

    config, accelerator = TrainConfig(batch=load.batch, cache_views=1), open_accelerator(dear.device)
    trunks = Trunks(dear, draw_task(load, dear.model, folder), config, accelerator, folder / "views", workers=0)

    def loss() -> Tensor:
        (batch,) = trunks.batches(0, [range(load.batch)])
        return add_terms(dear(batch)[1])

    loss()  # The first time writes the files.
    return loss


def draw_images(load: Load, model: HookedCLIP) -> tuple[Tensor, Tensor]:
    """Pixels of noise (image, 3, height, width) and class numbers."""
    import torch

    return torch.randn(load.batch, 3, model.image_size, model.image_size), torch.arange(load.batch) % load.classes


def draw_task(load: Load, model: HookedCLIP, folder: Path) -> Task:
    """The same on disk: a task of one batch of noise, written to `folder`."""
    import numpy as np
    from PIL import Image

    from headroles.adapt.data.examples import Example
    from headroles.adapt.data.task import Task

    rng, paths = np.random.default_rng(SEED), [folder / f"{number}.png" for number in range(load.batch)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (*model.image_shape, 3), dtype=np.uint8)).save(path)
    images = tuple(Example(path, number % load.classes) for number, path in enumerate(paths))
    return Task("noise", tuple(load.names(model)), load.template, train=images, val=(), test=images)


if __name__ == "__main__":
    main()
