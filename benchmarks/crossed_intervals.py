"""Do the intervals of `headroles compare` hold the truth? Simulated accuracies of tasks crossed with seeds.

`python benchmarks/crossed_intervals.py` draws x(t, s) = task + seed + rest from normal laws with a true mean of 0, for
several numbers of tasks and seeds and several spreads of seeds, and prints how often 95% intervals hold 0: ours
(`headroles.adapt.comparison.crossed`), Student's t over the tasks' means, Student's t over the seeds' means (which asks
about these tasks alone), and the percentile bootstrap of tasks crossed with seeds (Owen, 2007). The last column is half
the width of ours over that of the t over tasks.
"""

from __future__ import annotations

import click
import numpy as np
from benchmark import benchmark
from numpy import ndarray

from headroles.adapt.comparison.crossed import CrossedMean
from headroles.adapt.metrics import interval

SHAPES = ((16, 5), (16, 2), (11, 3), (4, 5), (2, 3))
"""Tasks and seeds."""
SPREADS = (0.0, 0.1, 0.5, 1.0)
"""Standard deviation of what tasks share of a seed, that of tasks and of the rest being 1."""


def holds_crossed(cells: ndarray) -> bool:
    """Ours."""
    found = CrossedMean.of(cells)
    return abs(found.mean) <= (found.half or 0)


def holds_t(means: ndarray) -> bool:
    """Student's over these means."""
    low, high = interval(means.tolist()) or (0, 0)
    return low <= 0 <= high


def holds_bootstrap(cells: ndarray, rng: np.random.Generator, resamples: int) -> bool:
    """Tasks and seeds drawn anew, each with replacement."""
    tasks, seeds = (rng.integers(size, size=(resamples, size)) for size in cells.shape)
    means = cells[tasks[:, :, None], seeds[:, None, :]].mean((1, 2))
    low, high = np.quantile(means, (0.025, 0.975))
    return low <= 0 <= high


@benchmark()
@click.option("--simulations", default=2000, show_default=True, help="Of each row.")
@click.option("--resamples", default=400, show_default=True, help="Of each bootstrap.")
@click.option("--seed", default=0, show_default=True)
def main(simulations: int, resamples: int, seed: int) -> None:
    """Print the coverages as a Markdown table."""
    rng = np.random.default_rng(seed)
    click.echo("| tasks | seeds | sd of seeds | crossed | t over tasks | t over seeds | bootstrap | width ratio |")
    click.echo("|" + "---:|" * 8)
    for (tasks, seeds), spread in ((shape, spread) for shape in SHAPES for spread in SPREADS):
        hits, widths = np.zeros(4), []
        for _ in range(simulations):
            by_task, by_seed = rng.normal(size=(tasks, 1)), spread * rng.normal(size=seeds)
            cells = by_task + by_seed + rng.normal(size=(tasks, seeds))
            hits += [
                holds_crossed(cells), holds_t(cells.mean(1)), holds_t(cells.mean(0)),
                holds_bootstrap(cells, rng, resamples),
            ]  # fmt: skip
            widths.append((CrossedMean.of(cells).half or 0) / (CrossedMean.of(cells.mean(1)[:, None]).half or 1))
        shown = " | ".join(f"{100 * share:.1f}" for share in hits / simulations)
        click.echo(f"| {tasks} | {seeds} | {spread:g} | {shown} | {np.median(widths):.2f} |")


if __name__ == "__main__":
    main()
