"""Do intervals know neighbours? The same scenes once, and each 32 times in a row, as frames of a film are.

Copies say nothing new, so intervals over them should be as wide as on the scenes: ratio 1. Prints the mean width of the
bundled model's intervals on the scenes, and the ratio to it on the copies with contiguous blocks, with the copies of a
scene as a group, and with interleaved blocks (number modulo blocks), which take the copies for independent images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import click
import numpy as np
from benchmark import benchmark
from torch import Tensor

from headroles import load, score, validate
from headroles.images.images import ShapesImages
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

_BLOCKS = 32
Measure = Callable[[LabelledImages, "list[int] | None"], float]
"""Mean width of some intervals, over images in groups."""


@dataclass
class Repeated:
    """Every scene several times in a row."""

    scenes: ShapesImages
    times: int

    def __post_init__(self) -> None:
        self.read = lru_cache(None)(lambda scene: self.scenes[scene][1])

    def __len__(self) -> int:
        return self.times * len(self.scenes)

    def __getitem__(self, number: int) -> tuple[int, Tensor]:
        return number, self.read(number // self.times)

    def name(self, number: int) -> str:
        return f"scene {number // self.times}, copy {number % self.times}"

    def fingerprint(self) -> str:
        return f"{self.scenes.fingerprint()} {self.times}"


def repeat(labelled: LabelledImages, times: int) -> LabelledImages:
    """The labelled scenes, each so many times in a row."""
    return replace(labelled, images=Repeated(labelled.images, times), codes=np.repeat(labelled.codes, times, 0))


@benchmark()
@click.option("--scenes", default=128, show_default=True)
@click.option("--times", default=32, show_default=True, help="Copies of each.")
@click.option("--seed", default=3, show_default=True, help="Of the scenes.")
def main(scenes: int, times: int, seed: int) -> None:
    """Print widths and ratios for score by texts and by images, and for validate."""
    model = load("shapes", "cpu")
    once = open_labelled("shapes", model.processor, scenes, seed)
    copies = repeat(once, times)
    number = np.arange(scenes * times)
    cuts = {"contiguous": None, "groups": (number // times).tolist(), "interleaved": (number % _BLOCKS).tolist()}
    click.echo(f"{scenes} scenes, each {times} times in a row; intervals' width, ratio on the copies")
    click.echo(f"{'':<16}{'width once':>12}" + "".join(f"{name:>14}" for name in cuts) + "   seconds")
    for name, measure in measures(model, seed).items():
        began = time.perf_counter()
        width = measure(once, None)
        ratios = [measure(copies, groups) / width for groups in cuts.values()]
        click.echo(f"{name:<16}{width:>12.4f}" + "".join(f"{each:>14.2f}" for each in ratios)
                   + f"{time.perf_counter() - began:>10.0f}")  # fmt: skip


def measures(model: HookedCLIP, seed: int) -> dict[str, Measure]:
    """What is measured, by name."""
    role_map = score(model, count=500, seed=seed + 1)

    def by_texts(images: LabelledImages, groups: list[int] | None) -> float:
        return _entropies(score(model, images.images, groups=groups, bootstraps=200, null_draws=20))

    def by_images(images: LabelledImages, groups: list[int] | None) -> float:
        return _entropies(score(model, images, by="images", groups=groups, bootstraps=200))

    def of_costs(images: LabelledImages, groups: list[int] | None) -> float:
        found = validate(role_map, model, images, groups=groups, draws=20)
        margins = [cost.margin for test in found.tests for cost in test.costs.values()]
        return float(np.mean([each.high - each.low for each in margins]))

    return {"score by texts": by_texts, "score by images": by_images, "validate": of_costs}


def _entropies(role_map: RoleMap) -> float:
    return float(np.mean([head.interval[1] - head.interval[0] for head in role_map]))


if __name__ == "__main__":
    main()
