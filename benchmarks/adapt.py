"""What a training step of DeAR costs beside one of MMRL's cost structure (`mmrl.py`): time and peak memory.

`python benchmarks/adapt.py` measures both offline, on a full-size ViT-B/16 CLIP with random weights, and prints every
figure with its spread. A step is forward, losses, backward and AdamW. Times are medians over interleaved rounds,
`[least, most]` in brackets; peaks are those of fresh processes that take one variant's steps and nothing else.

CLIP's first tokenizer, and so MMRL, pads every text to the context of 77 tokens; ours pads to the longest text, which
changes no embedding. Both comparisons are printed: as published, and with MMRL's texts as short as ours. `--length 77`
compares at the full context instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
from measure import in_fresh_process, interleave, random_model, report, report_ratios, resident_peak

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
if TYPE_CHECKING:
    from mmrl import Mmrl
    from torch import Tensor, nn

    from headroles import HookedCLIP
    from headroles.adapt import Dear
    from headroles.adapt.data.task import Task
    from headroles.roles.role_map import RoleMap

FIGURES = ("memory", "time")
CONTEXT = 77
"""Tokens that CLIP's tokenizer pads a text to."""
SHORT, PADDED = "MMRL, texts as short as ours", f"MMRL, texts padded to {CONTEXT}"
SHARED, TWICE, CACHED = "DeAR, trunk shared", "DeAR, trunk not shared", "DeAR, trunk cached"
VARIANTS = (PADDED, SHORT, TWICE, SHARED, CACHED)
GOAL = 0.5
"""A step that shares the trunk over one of MMRL."""
STEPS = 2
"""Steps before a peak is read: from the second on, AdamW's moments are there too."""
SEED = 0
HEADS = (
    *(("attribute", concept) for concept in ("color", "shape", "texture", "object", "position")),
    ("generalization", "object"),
    ("mixed", "color"),
)
"""Role and concept of the model's heads, in turn: every layer needs a mask, and none is wholly isolated."""


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

    @property
    def prompts(self) -> tuple[str, ...]:
        """One text a class, all of the full length; a word of the shapes world is one token."""
        return (" ".join(["red"] * (self.length - 2)),) * self.classes

    def __str__(self) -> str:
        texts = f"{self.classes} classes, texts of {self.length} tokens"
        return f"ViT-B/16, batch {self.batch}, {texts}, {self.threads} threads"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(FIGURES), help="Measure this alone.")
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Rounds (memory: at most 3).")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Images of a step.")
@click.option("--classes", type=click.IntRange(min=2), default=50, show_default=True, help="Texts of a step.")
@click.option("--length", type=click.IntRange(3, CONTEXT), default=16, show_default=True, help="Tokens of a text.")
def main(only: str | None, repeats: int, threads: int, batch: int, classes: int, length: int) -> None:
    """Measure what a training step costs, and compare it with the goal."""
    load = Load(batch, classes, length, threads)
    measures = {"memory": partial(measure_memory, load, min(repeats, 3)), "time": partial(measure_time, load, repeats)}
    for figure in (only,) if only else FIGURES:
        measures[figure]()


def measure_time(load: Load, repeats: int) -> None:
    """Seconds of a step of every variant, all on one frozen model, and their ratios to MMRL's."""
    with TemporaryDirectory() as folder:
        model = open_model(load)
        seconds = interleave({name: build_step(name, model, load, Path(folder)) for name in VARIANTS}, repeats)
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
    """A frozen ViT-B/16 with random weights."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(load.threads)
    torch.manual_seed(SEED)
    return random_model("ViT-B/16", 224)


def build_step(variant: str, model: HookedCLIP, load: Load, folder: Path) -> Callable[[], None]:
    """A function that takes one training step of a variant; what is computed once a run is computed here."""
    import torch
    from mmrl import Mmrl

    from headroles.adapt import Dear

    torch.manual_seed(SEED)
    if variant in (PADDED, SHORT):
        mmrl = Mmrl(model)
        return stepping(mmrl, mmrl_loss(mmrl, load, CONTEXT if variant == PADDED else load.length))
    dear = Dear(model, alternate_roles(model))
    losses = {TWICE: twice_loss, SHARED: shared_loss, CACHED: partial(cached_loss, folder=folder)}
    return stepping(dear, losses[variant](dear, load))


def mmrl_loss(mmrl: Mmrl, load: Load, length: int) -> Callable[[], Tensor]:
    """From pixels and texts padded to `length` to MMRL's loss."""
    pixels, labels = draw_images(load, mmrl.model)
    tokenize = mmrl.model.tokenizer
    ids = tokenize(load.prompts, padding="max_length", max_length=length, return_tensors="pt")["input_ids"]
    return partial(mmrl, pixels, labels, ids, mmrl.frozen_texts(ids))


def twice_loss(dear: Dear, load: Load) -> Callable[[], Tensor]:
    """As with `share_trunk` off: both branches start from pixels, and every step runs the texts' trunk."""
    from headroles.adapt.methods.features import Batch

    pixels, labels = draw_images(load, dear.model)

    def loss() -> Tensor:
        frozen, texts = dear.frozen_images(dear.image_trunk(pixels)), dear.text_trunk(load.prompts)
        return sum(dear(Batch(dear.image_trunk(pixels), labels, texts, frozen))[1].values())

    return loss


def shared_loss(dear: Dear, load: Load) -> Callable[[], Tensor]:
    """One image trunk a step, one text trunk a run."""
    from headroles.adapt.methods.features import Batch

    (pixels, labels), texts = draw_images(load, dear.model), dear.text_trunk(load.prompts)
    return lambda: sum(dear(Batch(dear.image_trunk(pixels), labels, texts))[1].values())


def cached_loss(dear: Dear, load: Load, folder: Path) -> Callable[[], Tensor]:
    """As with `cache_views`: trunks and frozen embeddings come from files, and reading them is part of a step."""
    from headroles.adapt.config import TrainConfig
    from headroles.adapt.training.processes import open_accelerator
    from headroles.adapt.training.trunk_cache import Trunks

    config, accelerator = TrainConfig(batch=load.batch, cache_views=1), open_accelerator(dear.device)
    trunks = Trunks(dear, draw_task(load, folder), config, accelerator, folder / "views", workers=0)

    def loss() -> Tensor:
        (batch,) = trunks.batches(0, [range(load.batch)])
        return sum(dear(batch)[1].values())

    loss()  # The first time writes the files.
    return loss


def draw_images(load: Load, model: HookedCLIP) -> tuple[Tensor, Tensor]:
    """Pixels of noise (image, 3, height, width) and class numbers."""
    import torch

    return torch.randn(load.batch, 3, model.image_size, model.image_size), torch.arange(load.batch) % load.classes


def draw_task(load: Load, folder: Path) -> Task:
    """The same on disk: a task of one batch of noise, written to `folder`."""
    import numpy as np
    from PIL import Image

    from headroles.adapt.data.examples import Example
    from headroles.adapt.data.task import Task

    rng, paths = np.random.default_rng(SEED), [folder / f"{number}.png" for number in range(load.batch)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(path)
    images = tuple(Example(path, number % load.classes) for number, path in enumerate(paths))
    return Task("noise", load.prompts, "{}", train=images, val=(), test=images)


def stepping(method: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """A function that takes one step of AdamW on a method's trained tensors."""
    from torch.optim import AdamW

    optimizer = AdamW([parameter for parameter in method.parameters() if parameter.requires_grad], 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def alternate_roles(model: HookedCLIP) -> RoleMap:
    """A role map made by hand: the roles of `HEADS` in turn, in all layers."""
    from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, RoleMap

    layers, heads = model.visual.layers, model.visual.heads
    concepts = dict.fromkeys(sorted({concept for _, concept in HEADS}), 1)
    numbers = {"concept_share": 1.0, "entropy_bits": 0.0, "entropy": 0.0, "interval": (0.0, 0.0), "p_value": 0.0}
    numbers |= {"q_value": 0.0, "stability": 1.0, "variance": 1.0, "null_entropy": 1.0, "effective_rank": 1.0}
    roles = []
    for number in range(layers * heads):
        role, concept = HEADS[number % len(HEADS)]
        spread = {name: float(name == concept) for name in concepts}
        roles.append(HeadRole(*divmod(number, heads), role, concept, **numbers, distribution=spread, texts=()))
    return RoleMap(
        model=ModelInfo(model.model_name, model.weights_hash(), layers, heads),
        images=ImagesInfo("by hand", 0, ()),
        bank=BankInfo("by hand", "0", concepts),
        settings={},
        layers=tuple(range(layers)),
        head_roles=tuple(roles),
    )


if __name__ == "__main__":
    main()
