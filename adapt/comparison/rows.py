"""The rows of a comparison, and the figures that stand over several tasks and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.adapt.comparison.entries import FROZEN
from headroles.adapt.metrics import MEAN
from headroles.files.ranges import Count, Share

OTHERS = "other tasks"
"""What is tested in rows of tasks that were not trained."""


@dataclass(frozen=True)
class ComparedRow:
    """What one training reaches on one part of a protocol, beside the frozen CLIP."""

    method: str
    """As the comparison calls it."""
    task: str
    """What was trained."""
    seed: Count
    """Of shots and training."""
    protocol: str
    """As `headroles.adapt.Measure` has it."""
    tested: str
    """The tested task, or "mean"."""
    part: str
    """As `headroles.adapt.Measure` has it."""
    images: Count
    """Tested images."""
    zero_shot: Share
    """The frozen CLIP, in [0, 1]."""
    adapted: Share
    """The adapted one, in [0, 1]."""
    trained: Count
    """How many numbers were trained."""
    shots: Count | None = None
    """Training images a class, where a cell has several numbers of them; tables say it of all."""


class Score(NamedTuple):
    """A figure that every cell has, and that has a mean over tasks and seeds."""

    protocol: str
    part: str
    where: str
    """"" on the trained task itself, else `OTHERS`."""
    shots: int | None = None
    """Of how many training images a class, where a cell has several numbers of them."""

    @property
    def title(self) -> str:
        """As tables head its column, where there is one protocol."""
        shots = "" if self.shots is None else f"{self.shots} shot" + "s" * (self.shots != 1)
        return ", ".join(filter(None, (self.part, self.where, shots)))


Cells = Mapping[tuple[str, int], float]
"""(task, seed) -> accuracy."""


def gather_scores(rows: Iterable[ComparedRow]) -> dict[str, dict[Score, Cells]]:
    """Method -> score -> its cells; of several tested tasks their mean. The frozen CLIP's cells are there too."""
    found: dict[str, dict[Score, dict[tuple[str, int], list[ComparedRow]]]] = {}
    for row in rows:
        score = Score(row.protocol, row.part, "" if row.tested == row.task else OTHERS, row.shots)
        found.setdefault(row.method, {}).setdefault(score, {}).setdefault((row.task, row.seed), []).append(row)
    scores = {
        name: {score: {at: _mean(some, "adapted") for at, some in cells.items()} for score, cells in of.items()}
        for name, of in found.items()
    }
    if FROZEN not in scores:
        frozen: dict[Score, dict[tuple[str, int], float]] = {}
        for of in found.values():
            for score, cells in of.items():
                frozen.setdefault(score, {}).update({at: _mean(some, "zero_shot") for at, some in cells.items()})
        scores[FROZEN] = dict(frozen)
    return {name: dict(of) for name, of in scores.items()}


def _mean(rows: Sequence[ComparedRow], name: str) -> float:
    """That of the row "mean", where there is one; it is the mean of the others."""
    means = [row for row in rows if row.tested == MEAN] or rows
    return math.fsum(getattr(row, name) for row in means) / len(means)


@dataclass(frozen=True)
class Block:
    """Tasks and seeds of which all methods have all cells."""

    tasks: tuple[str, ...]
    """Sorted."""
    seeds: tuple[int, ...]
    """Sorted."""

    @classmethod
    def of(cls, cells: Iterable[Cells]) -> Block:
        """The largest that all have; one without tasks and seeds where they have no cell in common."""
        places = [set(each) for each in cells]
        shared = set.intersection(*places) if places else set()
        seeds = {task: {seed for other, seed in shared if other == task} for task, _ in shared}
        best = cls((), ())
        kept: set[int] | None = None
        for count, task in enumerate(sorted(seeds, key=lambda task: (-len(seeds[task]), task)), 1):
            kept = seeds[task] if kept is None else kept & seeds[task]
            if count * len(kept) > best.size:
                names = sorted(seeds, key=lambda task: (-len(seeds[task]), task))[:count]
                best = cls(tuple(sorted(names)), tuple(sorted(kept)))
        return best

    @property
    def size(self) -> int:
        """Cells of one method."""
        return len(self.tasks) * len(self.seeds)

    def table(self, cells: Cells) -> Float[ndarray, "task seed"]:
        """The cells in order."""
        return np.array([[cells[task, seed] for seed in self.seeds] for task in self.tasks])

    def without(self, tasks: Iterable[str]) -> Block:
        """The other tasks."""
        return replace(self, tasks=tuple(task for task in self.tasks if task not in set(tasks)))
