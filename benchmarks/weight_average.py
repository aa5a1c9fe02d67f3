"""Do roles say which heads to take from a tuned CLIP? CLIP-CITE's weights averaged with the frozen ones in many ways.

`python benchmarks/weight_average.py` tunes the bundled model on `--task` once a seed, and asks every average of it on
base and novel classes and on plain concepts that were not trained: one share for all, shares by role, by inverted
roles, and by shuffled ones, which give as many heads each share as roles do. The last line is the paired difference of
role to the mean of the shuffled, with a 95% interval over seeds.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
from benchmark import benchmark

from headroles import load, score
from headroles.adapt import adapt, open_task
from headroles.adapt.methods.method import Method
from headroles.adapt.metrics import interval
from headroles.adapt.results.measuring import measure, measure_retention

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)
SHUFFLED = 3
"""Shufflings of the roles."""
KEPT = ("shape", "size", "texture")
"""Concepts of the retention column."""


def averages() -> Iterator[dict[str, Any]]:
    """Settings of all averages."""
    yield from ({"average": "uniform", "alpha": alpha} for alpha in CURVE)
    yield from ({"average": average, "alpha": 0.5} for average in ("role", "inverted"))
    yield from ({"average": "random", "alpha": 0.5, "roles_seed": seed} for seed in range(SHUFFLED))


def ask(method: Method, task: str, seed: int) -> list[float]:
    """Percent of base and novel classes, their harmonic mean, and the mean of the plain concepts."""
    own = measure(method, open_task(task), "base-to-novel", seed)
    kept = measure_retention(method, [open_task(f"shapes:{name}") for name in KEPT], seed)
    return [100 * row.adapted for row in (*own, kept[-1])]


def _brackets(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"[{bounds[0]:+.1f}, {bounds[1]:+.1f}]"


@benchmark()
@click.option("--task", default="shapes:tiny", show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Trainings.")
@click.option("--lr", default=5e-5, show_default=True, help="Ten times the published rate: the model is small.")
def main(task: str, seeds: int, lr: float) -> None:
    """Print a table."""
    clip = load("shapes", "cpu")
    role_map = score(clip, "shapes", "shapes", layers=f"0-{clip.visual.layers - 1}")
    found: dict[tuple[str, float], list[np.ndarray]] = {}
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            given = {"role_map": role_map, "retention": [], "output": f"{folder}/adapter", "device": "cpu"}
            method = adapt(clip, task, method="clip-cite", seeds=seed, lr=lr, **given)[0].method
        rows: dict[tuple[str, float], list[list[float]]] = {}
        for settings in averages():
            method.config = dataclasses.replace(method.config, **{"roles_seed": 0, **settings})
            rows.setdefault((settings["average"], settings["alpha"]), []).append(ask(method, task, seed))
        for name, several in rows.items():
            found.setdefault(name, []).append(np.mean(several, axis=0))
        click.echo(f"seed {seed}", err=True)
    click.echo("| average | alpha | base | novel | hm | kept |\n|---|---|---|---|---|---|")
    for (average, alpha), values in found.items():
        click.echo(
            f"| {average} | {alpha:g} | " + " | ".join(f"{value:.1f}" for value in np.mean(values, axis=0)) + " |"
        )
    apart = np.array(found["role", 0.5]) - np.array(found["random", 0.5])
    cells = [f"{column.mean():+.1f} {_brackets(interval(column.tolist()))}" for column in apart.T]
    click.echo("| role - random | 0.5 | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
