"""Do roles protect what a model knows? Three tests on a bundled model, on all built-in tasks that it does not know.

The question: does a CLIP that learns a task by its heads' roles keep more, on novel classes and on other tasks, than
one that learns as much in another way? Each test trains on 16 shots a base class, with seeds 1 to N:

 masks     DeAR with the masks role, open, layer, random (roles shuffled), inverted, soft, learned (from the role map's
           weights on, and held near them) and free (learned from weights all alike on, held by nothing). Strength s:
           logits are (1 - s) zero-shot + s adapted, s = 0, .1 .. 1.
 averages  CLIP-CITE, once; its weights averaged with the frozen ones by role, uniformly, by shuffled and by inverted
           roles. Strength: the mean share alpha of the tuned weights, which all ways have alike.
 low-rank  singular values of single heads (clip-svd; or --low-rank clip-lora) of the vision tower, of Attribute heads
           alone, Generalization heads alone, as many random heads as Attribute ones, or all scored heads but Attribute
           ones. Strength as for masks.

The measure, fixed before any run: a variant is a curve over its strength of base accuracy, novel accuracy and kept
accuracy (mean over the nine plain concepts, all classes). The value at a base accuracy is read at the least strength
that reaches it. Two variants of a task and a seed differ by the area between their curves over the base accuracies
that both reach, from the zero-shot model's on, divided by the length of that range: a mean difference in points at
equal base accuracy; it is 0 where they share no range. A variant is compared with others by the mean of that over
tasks, each task the mean over its seeds, so that the interval and the t test take in seeds and tasks; p-values are
Holm's over all contrasts and both values (novel, kept) of a test. "detectable" is the true difference that a t test at
the strictest of Holm's levels would have seen with a probability of 80%: what is smaller this bed cannot see.

Masks and low rank take roles of the deep layers, as DeAR does, averages those of all layers. No setting is chosen on
test images: `--tune` prints learning rates on validation splits of four tasks, with variants that know no roles. Of
those within half a point of the best harmonic mean the one of highest base accuracy is taken (of equals, that of the
higher harmonic mean): a test at equal base accuracy needs curves that go somewhere. Every finished run is a line of
OUTPUT/MODEL/runs.jsonl: stopped and started again, it goes on where it was, with any number of processes of one thread
each.

CPU seconds of one thread, measured on pastel, seed 1, on a crowded machine: 11 to 12 a mask, and 30 once a process to
render what is tested; 9.5 a low-rank run; a training of averages with all its points about 45 (reckoned, not
measured). So a task and seed are about 170 in all three tests, and 16 tasks with 5 seeds 1.9 hours of 2 cores a model.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from benchmark import benchmark
from role_runs import AVERAGES, LOW_RANK, MASKS, TASKS, TESTS, Bench, Plan, Unit, units, variants_of
from role_tables import FIGURES, Rows, over_tasks, plain, print_head, print_line, print_table, read_figures, signed

from headroles.adapt.results.equal_base import adjust_holm, mean_difference, pair_up

CONTRASTS: dict[str, tuple[tuple[str, str], ...]] = {
    MASKS: (
        *(("role", other) for other in ("open", "layer", "random", "inverted")),
        *((ours, other) for ours in ("soft", "learned") for other in ("open", "role")),
    ),
    AVERAGES: (("role", "uniform"), ("role", "random"), ("role", "inverted")),
    LOW_RANK: (("attribute", "random"), ("attribute", "generalization"), ("attribute", "inverted")),
}
"""Which variants are compared; fixed before any run."""
VALUES = ("novel", "kept")
TUNING_TASKS, TUNING_SEED = ("hidden", "pastel", "rare", "weave"), 101
NEUTRAL = {MASKS: "open", AVERAGES: "uniform", LOW_RANK: "random"}
"""The variant that `--tune` trains."""
GRID = {
    MASKS: (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2),
    AVERAGES: (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
    LOW_RANK: (5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0),
}

class Runs:
    """Runs of a plan, from the file of those that are done or from processes."""

    def __init__(self, plan: Plan) -> None:
        self.bench, self.plan = Bench(plan), plan
        self.lines = plan.output / plan.model / "runs.jsonl"
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        lines = self.lines.read_text().splitlines() if self.lines.is_file() else []
        self.done = {row["key"]: row for row in map(json.loads, lines)}

    def make(self, wanted: Sequence[Unit], processes: int) -> None:
        """Make all runs of the units that are not done yet."""
        todo = [replace(unit, variants=lacking) for unit in wanted if (lacking := self._lacking(unit))]
        for row in _make(self.plan, todo, processes):
            with self.lines.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.done[row["key"]] = row
            click.echo("{model} {test} {task} seed {seed} {variant}: {seconds} s".format(**row), err=True)

    def get(self, wanted: Sequence[Unit]) -> Rows:
        """Runs of units of one test."""
        keys = {(unit.task, unit.seed, name): self.bench.key(unit, name) for unit in wanted for name in unit.variants}
        return {place: self.done[key] for place, key in keys.items()}

    def _lacking(self, unit: Unit) -> tuple[str, ...]:
        return tuple(name for name in unit.variants if self.bench.key(unit, name) not in self.done)


def _make(plan: Plan, todo: Sequence[Unit], processes: int) -> Iterator[dict[str, Any]]:
    """Rows as they come."""
    if processes == 1 or len(todo) < 2:
        bench = Bench(plan)
        for unit in todo:
            yield from bench.run(unit)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _open_worker, (plan,)) as pool:
        for done in as_completed([pool.submit(_run_unit, unit) for unit in todo]):
            yield from done.result()


def _open_worker(plan: Plan) -> None:
    global _BENCH
    torch.set_num_threads(1)
    _BENCH = Bench(plan)


def _run_unit(unit: Unit) -> list[dict[str, Any]]:
    return list(_BENCH.run(unit))


def compare(test: str, rows: Rows, tasks: Sequence[str], seeds: Sequence[int]) -> None:
    """The table of a test at equal base accuracy."""
    contrasts = [(pair, value) for pair in CONTRASTS[test] for value in VALUES]
    found = [_difference(rows, pair, value, tasks, seeds) for pair, value in contrasts]
    apart = [_units(differences) for differences, _ in found]
    click.echo(f"\n{test}: difference at equal base accuracy, points, 95% intervals over {_over(apart[0], tasks)}\n")
    print_head("first minus second", "of", "difference", "p", "Holm's p", "detectable", "shared base, points")
    if len(apart[0]) < 2:
        for (pair, value), each in zip(contrasts, found, strict=True):
            difference, shared = 100 * each[0].mean(), 100 * each[1].mean()
            print_line(" - ".join(pair), value, f"{difference:+.2f}", *["-"] * 3, f"{shared:.1f}")
        return
    tested = [pair_up(100 * each, level=0.05 / len(contrasts)) for each in apart]
    adjusted = adjust_holm([each.p_value for each in tested])
    for (pair, value), each, holm, (_, shared) in zip(contrasts, tested, adjusted, found, strict=True):
        low, high = each.bounds or (np.nan, np.nan)
        difference = f"{each.mean:+.2f} [{low:+.2f}, {high:+.2f}]"
        cells = (f"{each.p_value:.2g}", f"{holm:.2g}", f"{each.detectable:.2f}", f"{100 * shared.mean():.1f}")
        print_line(" - ".join(pair), value, difference, *cells)


def _difference(
    rows: Rows, pair: tuple[str, str], value: str, tasks: Sequence[str], seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean difference, and the length of the range that both reach; both (task, seed)."""

    def curve(*place: Any) -> np.ndarray:
        return np.array([rows[place][key] for key in ("base", value)])

    both = [[mean_difference(*(curve(task, seed, name) for name in pair)) for seed in seeds] for task in tasks]
    found, shared = np.moveaxis(np.array(both), -1, 0)
    return found, shared


def _units(differences: np.ndarray) -> np.ndarray:
    """What is tested: tasks; of a single task its seeds."""
    return differences.mean(1) if len(differences) > 1 else differences[0]


def _over(values: np.ndarray, tasks: Sequence[str]) -> str:
    return f"{len(values)} {'tasks' if len(tasks) > 1 else 'seeds'}"


def tabulate(test: str, rows: Rows, tasks: Sequence[str], seeds: Sequence[int]) -> None:
    """What every variant reaches at full strength, or at inner mean shares; of masks, role minus each."""
    shown = (-1,) if test != AVERAGES else (1, 2, 3)
    whole = {}
    for variant, place in itertools.product(variants_of(test), shown):
        strength = rows[tasks[0], seeds[0], variant]["strengths"][place]
        name = variant if test != AVERAGES else f"{variant} {strength:g}"
        whole[name] = read_figures(rows, variant, place, tasks, seeds)
    frozen = read_figures(rows, variants_of(test)[0], 0, tasks, seeds)
    click.echo(f"\n{test}: mean over {len(tasks)} tasks, 95% intervals over {len(seeds)} seeds, percent\n")
    print_table({name: over_tasks(values) for name, values in {"zero-shot": frozen, **whole}.items()}, FIGURES, plain)
    if test != MASKS:
        return
    others = [name for name in whole if name != "role"]
    click.echo("\nrole minus each, paired by task and seed, 95% intervals over seeds\n")
    print_table({name: over_tasks(whole["role"]) - over_tasks(whole[name]) for name in others}, FIGURES, signed)
    click.echo("\nthe same, 95% intervals over tasks\n")
    own = ("base", "novel", "hm", "retention")
    print_table({name: (whole["role"] - whole[name]).mean(1) for name in others}, own, signed)
    click.echo("\nharmonic mean by task, mean over seeds\n")
    print_head("task", "zero-shot", *whole)
    for row, task in enumerate(tasks):
        print_line(task, *(f"{100 * part[row, :, 2].mean():.1f}" for part in (frozen, *whole.values())))


def tell_learned(rows: Rows) -> None:
    """Where learned weights end, against where the role map puts them."""
    click.echo("\nrank correlation of learned mask weights with the role map's, over trainings\n")
    print_head("mask", "median rho", "lowest", "highest", "p <= .05 in")
    for variant in ("learned", "free"):
        found = [row for (_, _, name), row in rows.items() if name == variant]
        rho = np.array([row["rho"] for row in found])
        seen = np.mean([row["p"] <= 0.05 for row in found])
        print_line(variant, *(f"{value:+.2f}" for value in (np.median(rho), rho.min(), rho.max())), f"{seen:.0%}")


def tune(plan: Plan, tests: Sequence[str], processes: int) -> None:
    """Mean harmonic mean on validation splits at every learning rate, of the variant that knows no roles."""
    for test in tests:
        for rate in GRID[test]:
            runs = Runs(replace(plan, split="val", rates=tuple({**dict(plan.rates), test: rate}.items())))
            wanted = [Unit(test, task, TUNING_SEED, (NEUTRAL[test],)) for task in TUNING_TASKS]
            place = -1 if test != AVERAGES else 2
            runs.make(wanted, processes)
            values = read_figures(runs.get(wanted), NEUTRAL[test], place, TUNING_TASKS, (TUNING_SEED,))
            cells = zip(FIGURES, over_tasks(values)[0], strict=True)
            click.echo(f"{test} lr {rate:g}: " + "  ".join(f"{name} {100 * value:.1f}" for name, value in cells))


def _names(text: str, known: Iterable[str], option: str) -> tuple[str, ...]:
    names, known = tuple(name.strip() for name in text.split(",")), tuple(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"{option}: {unknown[0]!r} is none of {', '.join(known)}")
    return names


@benchmark()
@click.option("--model", default="shapes", show_default=True, help="A bundled model.")
@click.option("--tests", default=",".join(TESTS), show_default=True)
@click.option("--tasks", default=",".join(TASKS), show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Seeds 1 to N.")
@click.option("--low-rank", type=click.Choice(["clip-svd", "clip-lora"]), default="clip-svd", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Of every training; default: 20.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Of one thread each.")
@click.option("--tune", "tuning", is_flag=True, help="Try learning rates on validation splits instead.")
@click.option(
    "--precision", type=click.Choice(["no", "bf16"]), default="no", show_default=True, help="Of what is tested."
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/roles-help"), show_default=True)
def main(
    model: str, tests: str, tasks: str, seeds: int, low_rank: str, epochs: int | None, processes: int, tuning: bool,
    precision: str, output: Path,
) -> None:  # fmt: skip
    """Run what is not done yet, and print all tables."""
    torch.set_num_threads(1)
    plan = Plan(model, output, low_rank, epochs=epochs, precision=precision)
    chosen, names, numbers = _names(tests, TESTS, "--tests"), _names(tasks, TASKS, "--tasks"), range(1, seeds + 1)
    if tuning:
        tune(plan, chosen, processes)
        return
    runs = Runs(plan)
    runs.make(units(chosen, names, numbers), processes)
    for test in chosen:
        rows = runs.get(units([test], names, numbers))
        tabulate(test, rows, names, numbers)
        if test == MASKS:
            tell_learned(rows)
        compare(test, rows, names, numbers)


if __name__ == "__main__":
    main()
