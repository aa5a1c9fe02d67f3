"""All methods on all built-in tasks that the bundled models do not know, over seeds, each tuned with as many trials.

`python benchmarks/compare.py` is `headroles compare` with fixed choices, once a bundled model, so it goes on where it
was stopped, and `--processes N` and `--shard i/n` share it out. Every method that can name novel classes is there, and
beside it `mmrlpp+roles` (MMRL++ behind a role mask), `clip-cite+roles` (averaged by role), `role` (DeAR with its own
mask) and `open` (DeAR without one).
Protocol base-to-novel, 16 shots, 5 epochs of batches of 16 for all that take steps: few, so that the whole fits into
hours; each method's rate and one setting more are chosen from 6 trials on the validation images of four tasks with
seed 101. Everything else is as published, but for `dear`, whose mask is our default. `--retention` tests other tasks
too, which takes longer. The claims of papers are judged model by model, and by the mean over both.

`linear-probe` and `layer-fusion` know trained classes alone: `--protocol few-shot --methods ...` has them, beside
others.

`--estimate` does one cell of every method with every model, and prints processor seconds of each and what the whole
would take.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
from benchmark import benchmark
from method_claims import print_claims

from headroles.adapt import METHODS, compare
from headroles.adapt.comparison.crew import Outcome
from headroles.adapt.comparison.entries import FROZEN, read_entries
from headroles.adapt.comparison.grid import list_tasks
from headroles.adapt.comparison.grids import list_trials
from headroles.cli.options.names import split_names
from headroles.jobs.shards import parse_shard

VARIANTS = ("mmrlpp+roles", "clip-cite+roles", "role=dear", "open=dear")
"""Beside every method."""
OWN: dict[str, dict[str, Any]] = {
    "clip-cite+roles": {"average": "role"}, "role": {"mask": "role"}, "open": {"mask": "open"},
}  # fmt: skip
"""Settings of one entry."""
MODELS = ("shapes", "shapes-natural")
"""The bundled ones."""
TUNING_TASKS = tuple(f"shapes:{name}" for name in ("hidden", "pastel", "rare", "weave"))
TASK = "shapes:lamp"
"""Whose cells are measured: of 16 classes, as most tasks."""


@benchmark()
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), default=MODELS, show_default=True)
@click.option("--methods", help="Of all, as `headroles compare` takes them; default: all, and the variants.")
@click.option("--variants/--no-variants", default=True, show_default=True, help="The four beside all methods.")
@click.option("--tasks", default="all", show_default=True, help="Separated by commas.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds 1 to N.")
@click.option("--epochs", type=click.IntRange(min=2), default=5, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--protocol", default="base-to-novel", show_default=True, help="few-shot has linear-probe too.")
@click.option("--retention", default="none", show_default=True, help="Such as shapes:shape,shapes:color.")
@click.option("--no-tune", is_flag=True, help="Take the presets' rates and settings.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Of one thread each.")
@click.option("--shard", default="1/1", show_default=True)
@click.option("--reference", default="zero-shot", show_default=True)
@click.option("--estimate", is_flag=True, help="Measure one cell of every method instead.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/compare"), show_default=True)
def main(
    models: tuple[str, ...], methods: str | None, variants: bool, tasks: str, seeds: int, no_tune: bool, shard: str,
    reference: str, estimate: bool, processes: int, output: Path, retention: str, **settings: Any,
) -> None:  # fmt: skip
    """Compare all methods, and print the tables as Markdown; each model's cells are in OUTPUT/MODEL."""
    names = split_names(methods) if methods else (*METHODS, *(VARIANTS if variants else ()))
    own = {name: OWN[name] for name in OWN if any(name == each.partition("=")[0] for each in names)}
    settings |= {"retention": split_names(retention), "own": own, "skip_refused": True, "say": click.echo}
    if estimate:
        cells, tuning_tasks = len(list_tasks(split_names(tasks))) * seeds, 0 if no_tune else len(TUNING_TASKS)
        hours = [_estimate(model, names, cells, tuning_tasks, settings) for model in models]
        click.echo(f"{' and '.join(models)}: {sum(hours):.1f} hours of a core")
        return
    settings |= {"tune": not no_tune, "tune_tasks": () if no_tune else TUNING_TASKS, "keep_adapters": False}
    settings |= {"processes": processes, "shard": parse_shard(shard), "seeds": range(1, seeds + 1), "progress": _tell}
    found = []
    for model in models:
        click.echo(f"\n## {model}\n")
        found.append(compare(model, split_names(tasks), names, output=output / model, **settings))
        click.echo(found[-1].to_table("markdown", reference))
        print_claims("", found[-1:])
        for line in found[-1].failed:
            click.echo(f"failed: {line}")
    if len(found) > 1:
        print_claims(" by the mean over all models", found)


def _tell(outcome: Outcome, over: int, count: int) -> None:
    click.echo(f"{over} of {count}: {outcome.told}")


def _estimate(model: str, names: tuple[str, ...], cells: int, tuning_tasks: int, settings: dict[str, Any]) -> float:
    """Processor seconds of one cell of every method; the hours of the whole.

    The first cell, which opens what all share and trains nothing, is left out.
    """
    names = (FROZEN, *(name for name in names if name != FROZEN))
    seconds: dict[str, float] = {}
    last = time.process_time()

    def clock(outcome: Outcome, over: int, count: int) -> None:
        nonlocal last
        now = time.process_time()
        if over > 1:
            seconds[getattr(outcome, "name", "failed")] = now - last
        last = now
        _tell(outcome, over, count)

    with tempfile.TemporaryDirectory() as place:
        compare(model, TASK, names, output=place, seeds=1, progress=clock, **settings)
    counts = {each.name: cells + tuning_tasks * len(list_trials(each)) for each in read_entries(names)}
    click.echo(f"\n{model}\n\n| method | a cell, s | cells |\n|---|---:|---:|")
    for name, cell in seconds.items():
        click.echo(f"| {name} | {cell:.1f} | {counts.get(name, cells)} |")
    hours = sum(cell * counts.get(name, cells) for name, cell in seconds.items()) / 3600
    click.echo(f"the whole: {hours:.1f} hours of a core\n")
    return hours


if __name__ == "__main__":
    main()
