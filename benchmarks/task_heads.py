"""Do roles foretell which heads a task uses? Every built-in task's use of each head against the role map.

Question: are the heads whose role map speaks most of what a task asks for (`headroles.shapes.tasks` knows what its
classes differ in) those that serve it most? Measure: Spearman's rho over the scored heads of each measure of use (cost
of cutting the head in all, and in its own part of the embedding; factors, LTV's weights, head purification's gates and
TaLo's deltas, each learned) with the role map's share of the asked concepts. p is one-sided, by shuffling shares among
the heads of a layer, so that depth alone makes none small; of a mean over tasks, by the same shuffling in all of them,
as they share their heads. q is Benjamini-Hochberg over tasks, measure by measure. "asked - others": rho less its
mean over the concepts that the task does not ask for. Intervals of means are Student's over tasks, which draw on one
model: they speak of other tasks, not of other models.

`--output FOLDER` keeps every task's result there, and a run that was stopped goes on. Nothing is tuned, and test images
are not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from benchmark import benchmark
from jaxtyping import Bool, Float
from numpy import ndarray

from headroles import RoleMap, load, score
from headroles.adapt import TASKS, task_heads
from headroles.adapt.metrics import interval
from headroles.adapt.uses.agreement import mean_agreement
from headroles.adapt.uses.result import USES, TaskHeads
from headroles.causal.selectivity import rank_correlation
from headroles.roles.concepts import q_values
from headroles.shapes.world import NAMES

_DRAWS = 5000


def report_tasks(found: Sequence[TaskHeads]) -> None:
    """One line a task: rho of every measure, * where q <= .05."""
    rows = [{each.use: each for each in one.agreement} for one in found]
    sure = set()
    for use in USES:
        tasks = [number for number, row in enumerate(rows) if use in row]
        q = q_values(np.array([rows[number][use].p_value for number in tasks])) if tasks else []
        sure |= {(number, use) for number, each in zip(tasks, q, strict=True) if each <= 0.05}
    click.echo(f"| task | asks for | {' | '.join(USES)} | needed, free, harmful |\n|---|---|{'---:|' * len(USES)}---|")
    for number, (one, row) in enumerate(zip(found, rows, strict=True)):
        cells = []
        for use in USES:
            each = row.get(use)
            ends = "" if each is None or each.low is None else f" [{each.low:+.2f}, {each.high:+.2f}]"
            cells.append("-" if each is None else f"{each.rho:+.2f}{'*' * ((number, use) in sure)}{ends}")
        counts = ", ".join(str(len(one.of_verdict(name))) for name in ("needed", "free", "harmful"))
        click.echo(f"| {one.task} | {', '.join(one.concepts)} | {' | '.join(cells)} | {counts} |")


def report_means(found: Sequence[TaskHeads], role_map: RoleMap, title: str) -> None:
    """Mean rho of every measure over some tasks, its p, and what is left beside concepts that are not asked for."""
    layers = np.array([use.layer for use in found[0].heads])
    for use in USES:
        own = np.array([[getattr(each, use) for each in one.heads] for one in found], float)
        asked = np.array([[each.asked for each in one.heads] for one in found])
        kept = np.isfinite(own).all(0)
        if not kept.any():
            continue
        own, asked = own[:, kept], asked[:, kept]
        mean, p_value = mean_agreement(own, asked, layers[kept], _DRAWS, 0)
        others = [mean_of_others(one, row, kept, role_map) for one, row in zip(found, own, strict=True)]
        apart = [correlate(*rows[:2]) - rows[2] for rows in zip(own, asked, others, strict=True)]
        apart = [each for each in apart if np.isfinite(each)]
        rhos = [each for each in map(correlate, own, asked) if np.isfinite(each)]
        click.echo(
            f"| {use} | {title} | {len(rhos)} | {mean:+.2f} {show(rhos)} | {p_value:.4f} | "
            f"{np.mean(apart):+.2f} {show(apart)} |"
        )


def mean_of_others(
    found: TaskHeads, own: Float[ndarray, "head"], kept: Bool[ndarray, "all_heads"], role_map: RoleMap
) -> float:
    """Mean rho with the shares of the concepts that a task does not ask for, each alone."""
    spread = [role_map[use.head].distribution for use, keep in zip(found.heads, kept, strict=True) if keep]
    names = [name for name in role_map.concepts if name not in found.concepts]
    return float(np.nanmean([correlate(own, np.array([each[name] for each in spread])) for name in names]))


def correlate(one: ndarray, other: ndarray) -> float:
    return float(rank_correlation(np.stack([one, other], 1)))


def show(values: Sequence[float]) -> str:
    ends = interval(values)
    return "" if ends is None else f"[{ends[0]:+.2f}, {ends[1]:+.2f}]"


@benchmark()
@click.option("--model", "name", default="shapes", show_default=True, help="A bundled model, or a folder trained so.")
@click.option("--tasks", default="all", show_default=True, help="Names such as tiny,weave.")
@click.option("--learn", default="ltv,talo", show_default=True, help="Some of ltv, head-purification, talo.")
@click.option("--images", default=200, show_default=True, help="Training images that heads are cut on.")
@click.option("--scored", default=2000, show_default=True, help="Scenes that the role map is of.")
@click.option("--layers", default="deep", show_default=True, help="Layers whose heads count.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder that keeps every task's result.")
def main(name: str, tasks: str, learn: str, images: int, scored: int, layers: str, output: Path | None) -> None:
    """Print every task's correlations, and their means."""
    torch.set_num_threads(1)
    start, model = time.perf_counter(), load(name, "cpu")
    role_map = score(model, count=scored, probes="shapes", layers=layers)
    chosen = list(TASKS) if tasks == "all" else [f"shapes:{each}" for each in tasks.split(",")]
    learned, found = [each for each in learn.split(",") if each], []
    for task in chosen:
        path = output / f"{task.partition(':')[2]}.json" if output else None
        if path and path.is_file():
            found.append(TaskHeads.load(path))
            continue
        found.append(task_heads(model, task, role_map, images=images, learn=learned))
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            found[-1].save(path)
        click.echo(f"{task}: {time.perf_counter() - start:.0f} s", err=True)
    click.echo(f"{name}: {len(found[0].heads)} heads, {images} training images a task\n")
    report_tasks(found)
    heads = ["measure", "tasks", "count", "mean rho", "p", "asked - others"]
    click.echo(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    own = [one for one in found if one.task.partition(":")[2] in NAMES]
    for title, some in (("all", found), ("the world's concepts", own), ("others", [x for x in found if x not in own])):
        if len(some) > 1:
            report_means(some, role_map, title)
    click.echo(f"\n{time.perf_counter() - start:.0f} s on one thread, without what was kept")


if __name__ == "__main__":
    main()
