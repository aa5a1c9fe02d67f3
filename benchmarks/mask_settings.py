"""Which setting of DeAR makes role masks lose or gain on none, and which are best? On validation splits alone.

`python benchmarks/mask_settings.py why` changes one setting at a time for `role` and `open` alike;
`python benchmarks/mask_settings.py norm` trains the LayerNorm before the attribute projection, or not;
`python benchmarks/mask_settings.py grid` crosses first layer, beta, learning rate and image loss, with the role mask.

Trainings are those of test a of `roles_help.py`, and lie in its file of runs; seeds are others than the reported ones.
Intervals are over seeds, of few: they say which way a setting goes, not how far.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from benchmark import benchmark
from role_runs import MASKS, Plan, Unit
from role_tables import FIGURES, over_tasks, plain, print_head, print_line, read_figures, signed
from roles_help import TUNING_SEED, TUNING_TASKS, Runs

from headroles.shapes import CONCEPTS

WHY_TASKS = ("faint", "hidden", "clutter", "order", "weave")
"""Two where role masks once won, and three where they lost."""
WHY: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "a token for every concept": {"core": tuple(CONCEPTS)},
    "no text tokens": {"text_tokens": 0},
    "tokens enter one layer later": {"layer": 6},
    "image loss x 10": {"lambda_image": 5.0},
}
GRID: Mapping[str, Sequence[Any]] = {
    "layer": (5, 6),
    "beta": (0.5, 0.9),
    "lr": (2e-3, 1e-2),
    "lambda_image": (0.5, 5.0),
}


@dataclass(frozen=True)
class Question:
    """Trainings on tasks' validation splits with seeds."""

    plan: Plan
    """All but settings and rate."""
    tasks: tuple[str, ...]
    """Without "shapes:"."""
    seeds: range
    """Of shots and trainings."""
    processes: int
    """Of one thread each."""

    def ask(self, mask: str, *, lr: float | None = None, **settings: Any) -> np.ndarray:
        """Figures of the adapted model, (task, seed, 4)."""
        rates = () if lr is None else ((MASKS, lr),)
        runs = Runs(replace(self.plan, settings=tuple(settings.items()), rates=rates))
        wanted = [Unit(MASKS, task, seed, (mask,)) for seed in self.seeds for task in self.tasks]
        runs.make(wanted, self.processes)
        return read_figures(runs.get(wanted), mask, -1, self.tasks, self.seeds)

    def head(self, *first: str) -> None:
        """The first lines of a table: `first`, FIGURES, and every task."""
        print_head(*first, *FIGURES, *(f"hm, {name}" for name in self.tasks))


def explain(question: Question) -> None:
    """`role`, and `role` minus `open`, under every change of WHY."""
    found = {change: [question.ask(mask, **own) for mask in ("role", "open")] for change, own in WHY.items()}
    question.head("change", "mask")
    for change, (role, opened) in found.items():
        print_line(change, "role", *_cells(role, plain))
        print_line(change, "role minus open", *_cells(role, signed, opened))


def compare_norm(question: Question) -> None:
    """`train_norm` off and on, and on minus off."""
    off, on = (question.ask("role", train_norm=each) for each in (False, True))
    question.head("train_norm")
    print_line("off", *_cells(off, plain))
    print_line("on", *_cells(on, plain))
    print_line("on minus off", *_cells(on, signed, off))


def cross(question: Question) -> None:
    """Every combination of GRID, the best by mean harmonic mean first."""
    chosen = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    found = [(question.ask("role", **each), each) for each in chosen]
    print_head(*GRID, *FIGURES)
    for values, each in sorted(found, key=lambda one: -over_tasks(one[0]).mean(0)[2]):
        print_line(*map(str, each.values()), *(plain(column) for column in over_tasks(values).T))


def _cells(values: np.ndarray, write: Callable[[np.ndarray], str], without: np.ndarray | None = None) -> list[str]:
    """`values` minus `without`, (task, seed, 4): FIGURES over the tasks, then every task's own hm."""
    without = np.zeros_like(values) if without is None else without
    whole = over_tasks(values) - (over_tasks(without) if without.any() else 0)
    return [write(column) for column in whole.T] + [write(task[:, 2]) for task in values - without]


ASKED: Mapping[str, tuple[Callable[[Question], None], tuple[str, ...], int]] = {
    "why": (explain, WHY_TASKS, 3),
    "norm": (compare_norm, TUNING_TASKS, 3),
    "grid": (cross, TUNING_TASKS, 1),
}
"""Word -> what prints it, its tasks, its number of seeds."""


@benchmark()
@click.argument("asked", type=click.Choice(list(ASKED)))
@click.option("--model", default="shapes", show_default=True, help="A bundled model.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Of one thread each.")
@click.option("--epochs", type=click.IntRange(min=1), help="Of every training; default: 20.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/roles-help"), show_default=True)
def main(asked: str, model: str, processes: int, epochs: int | None, output: Path) -> None:
    """Train what is not done yet, and print the table."""
    torch.set_num_threads(1)
    show, tasks, seeds = ASKED[asked]
    plan = Plan(model, output, epochs=epochs, split="val")
    show(Question(plan, tasks, range(TUNING_SEED, TUNING_SEED + seeds), processes))


if __name__ == "__main__":
    main()
