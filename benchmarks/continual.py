"""Tasks one after the other: what does each way keep of the earlier ones, and what does it spoil of the later ones?

`python benchmarks/continual.py --output runs/continual` adapts the bundled model by every method to `--tasks` in turn:
one adapter through all, one a task, and these merged by their mean, by task arithmetic and by RECALL. It prints the six
numbers of the survey (arXiv 2508.04227) with 95% intervals over seeds, the paired difference of every way to the
sequential one, and the drift of heads by role. Nothing is chosen on the tested images. Started again, it goes on.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import numpy as np
from benchmark import benchmark

from headroles import load, score
from headroles.adapt import Continual, Task, adapt_tasks, open_task
from headroles.adapt.metrics import interval
from headroles.roles.role_map import RoleMap

PAIRED = ("last", "average", "transfer")
"""Numbers whose differences to the sequential way are printed."""


def few(task: Task, count: int) -> Task:
    """The task with about `count` of its test images, as many of each class."""
    each = max(1, count // len(task.classes))
    return dataclasses.replace(task, test=task.test[: each * len(task.classes)])


def find_map(folder: Path) -> RoleMap:
    """The bundled model's role map, made once."""
    path = folder / "role_map.json"
    if not path.exists():
        clip = load("shapes", "cpu")
        score(clip, "shapes", "shapes", layers=f"0-{clip.visual.layers - 1}").save(path)
    return RoleMap.load(path)


def compare(found: Continual) -> list[str]:
    """Paired differences to the sequential way over seeds, in points, as Markdown rows."""
    rows = []
    base = found.measures("sequential")
    for strategy in found.strategies[1:]:
        cells = []
        for name in PAIRED:
            pairs = zip(found.measures(strategy), base, strict=True)
            apart = [100 * (getattr(one, name) - getattr(other, name)) for one, other in pairs]
            bounds = interval(apart)
            cells.append(f"{np.mean(apart):+.1f}" + (f" [{bounds[0]:+.1f}, {bounds[1]:+.1f}]" if bounds else ""))
        rows.append(f"| {found.method} | {strategy} | " + " | ".join(cells) + " |")
    return rows


@benchmark()
@click.option("--output", type=click.Path(path_type=Path), default="runs/continual", show_default=True)
@click.option("--methods", default="dear,mmrlpp", show_default=True)
@click.option("--tasks", default="shapes:tiny,shapes:pastel,shapes:turned", show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--shots", default=4, show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--test", default=160, show_default=True, help="Test images a task.")
def main(output: Path, methods: str, tasks: str, seeds: int, shots: int, epochs: int, test: int) -> None:
    """Print the tables."""
    output.mkdir(parents=True, exist_ok=True)
    role_map = find_map(output)
    opened = [few(open_task(name), test) for name in tasks.split(",")]
    lines = []
    for method in methods.split(","):
        own = {"role_map": role_map} if method == "dear" else {}
        folder = output / method
        given = {"output": folder, "resume": folder.exists(), "method": method, "seeds": range(1, seeds + 1), **own}
        found = adapt_tasks("shapes", opened, shots=shots, epochs=epochs, device="cpu", **given)
        click.echo(f"{method}: {found.to_table()}\n")
        lines += compare(found)
    click.echo(f"paired differences to sequential, points, {seeds} seeds, 95% intervals")
    click.echo("| method | way | " + " | ".join(PAIRED) + " |\n|---" + "|---" * (1 + len(PAIRED)) + "|")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
