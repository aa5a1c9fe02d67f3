"""reproduce(): CoOp's benchmark from end to end, and the published tables beside what comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from headroles.adapt.data.coop import DATA_SETS
from headroles.adapt.jobs.adapt import adapt
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.reproduction.benchmark import (
    SHOTS,
    TABLES,
    ZERO_SHOT,
    Training,
    check_names,
    find_present,
    folder_of,
    list_trainings,
)
from headroles.adapt.reproduction.calibration import why_other
from headroles.adapt.reproduction.published import read_published
from headroles.adapt.reproduction.reproduction import FILE, RUNS, TABLE, Reproduction, write_runs
from headroles.adapt.reproduction.rows import Result, make_rows, zero_shot_percents
from headroles.adapt.training.processes import is_main, join, on_main
from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.places import check_writable
from headroles.files.run_file import check_run, write_run
from headroles.files.whole import write_text
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

Say = Callable[[str], None]


@typed
def reproduce(
    root: str | os.PathLike[str],
    output: str | os.PathLike[str],
    model: str | HookedCLIP = "ViT-B/16",
    *,
    tables: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] = (1, 2, 3),
    shots: Iterable[int] = SHOTS,
    epochs: int | None = None,
    inference: str = "decoupled",
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    say: Say | None = None,
) -> Reproduction:
    """Train and test methods on CoOp's data sets below `root`; ours, the published figures, and the differences.

    `tables`: some of `headroles.adapt.reproduction.benchmark.TABLES`; None for all. `methods`: names of
    `headroles.adapt.METHODS`; None for those that the tables have figures of. Each trains by its published preset, or
    with other `epochs`; 16 training images a class, in the few-shot table `shots`. `inference`: of MMRL and MMRL++,
    "decoupled" as published, or "unified". `role_map`: for methods that need one.

    Every training is a job with a folder of its own below `output`/runs, and `resume` goes on with the first that is
    not done. Data sets that are not there are left out, and averages say so; differences are taken only where both
    sides are over the same data sets, and published figures stand only beside OpenAI's ViT-B/16. `say` is called with
    a line a training. Raises InputError where nothing can be trained.
    """
    place, out = Path(root).expanduser(), Path(output)
    chosen = tuple(TABLES) if tables is None else tuple(tables)
    check_names("tables", chosen, tuple(TABLES))
    named, unmapped = _choose_methods(chosen, methods, needs_map=role_map is None and model not in BUNDLED)
    few, numbers, present = _check_counts("shots", shots), _check_counts("seeds", seeds), find_present(place)
    trainings = tuple(list_trainings(chosen, named, few, present))
    notes = (*_tell_missing(chosen, place, present), *_tell_closed(chosen, named), *unmapped)
    if not trainings:
        raise InputError(f"tables: nothing can be trained for {', '.join(chosen)}: {'; '.join(notes)}")
    on_main(lambda: _check_output(out, resume, overwrite))
    where = join(device)
    clip = model if isinstance(model, HookedCLIP) else load(model, where)
    runner = _Runner(clip, place, out, epochs, inference, role_map, workers, resume, overwrite)
    on_main(lambda: write_run(out, keep=resume))
    results = runner.run_all(_with_seeds(trainings, numbers), notes, say)
    return _finish(clip, numbers, results, notes, out)


@dataclass(frozen=True)
class _Runner:
    """What all trainings share."""

    clip: HookedCLIP
    root: Path
    output: Path
    epochs: int | None
    inference: str
    role_map: RoleMap | str | os.PathLike[str] | None
    workers: int
    resume: bool
    overwrite: bool

    def run_all(self, pairs: Sequence[tuple[Training, int]], notes: Sequence[str], say: Say | None) -> list[Result]:
        """One by one; what lacks is said before."""
        results = []
        for line in notes:
            _tell(say, line)
        for number, (training, seed) in enumerate(pairs, 1):
            _tell(say, f"{number} of {len(pairs)}: {training}, seed {seed}")
            results.append(self.run(training, seed))
        return results

    def run(self, training: Training, seed: int) -> Result:
        """One adapter, or what an earlier run has left of it."""
        method = METHODS[training.method]
        settings: dict[str, Any] = dict(method.as_published)
        if self.epochs and method.steps:
            settings["epochs"] = self.epochs
        if any(field.name == "inference" for field in fields(method.settings)):
            settings["inference"] = self.inference
        (adapter,) = adapt(
            self.clip,
            training.data_set,
            root=self.root,
            method=training.method,
            protocol=training.protocol,
            shots=training.shots,
            seeds=seed,
            targets=training.targets or None,
            retention=(),
            role_map=self.role_map if method.role_maps == "needed" else None,
            device=str(self.clip.device),
            workers=self.workers,
            resume=self.resume,
            overwrite=self.overwrite,
            output=training.folder(self.output, seed),
            **settings,
        )
        return Result(training, seed, adapter.measures, adapter.info.left_out)


def _choose_methods(
    tables: Sequence[str], methods: Iterable[str] | None, needs_map: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The methods that are asked for; else those here that the tables have figures of, and what to say of the others.

    `needs_map`: no role map is given, and none will be made.
    """
    published = {row.method for row in read_published() if row.table in tables}
    named = tuple(name for name in METHODS if name in published) if methods is None else tuple(methods)
    check_names("methods", named, tuple(METHODS))
    unmapped = [name for name in named if needs_map and METHODS[name].role_maps == "needed"]
    if not unmapped:
        return named, ()
    if methods is not None:
        raise InputError(f"role map: {unmapped[0]} needs one of the model; give --role-map FILE, or leave it out")
    kept = tuple(name for name in named if name not in unmapped)
    return kept, (f"left out, as no role map is given: {', '.join(unmapped)}",)


def _check_counts(what: str, counts: Iterable[int]) -> tuple[int, ...]:
    numbers = tuple(counts)
    if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < (what == "shots"):
        raise InputError(f"{what} must be different numbers{' from 1 on' * (what == 'shots')}, got {numbers}")
    return numbers


def _with_seeds(trainings: Sequence[Training], seeds: Sequence[int]) -> list[tuple[Training, int]]:
    """Every training with every seed; what trains nothing is the same with all of them."""
    return [
        (training, seed) for training in trainings for seed in (seeds[:1] if training.method == ZERO_SHOT else seeds)
    ]


def _tell_missing(tables: Sequence[str], root: Path, present: Sequence[str]) -> tuple[str, ...]:
    wanted = {name for table in tables for name in TABLES[table][1]}
    missing = [name for name in DATA_SETS if name in wanted and name not in present]
    looked = ", ".join(f"{name} ({folder_of(name, root)})" for name in missing)
    lines = [f"left out, as these folders of images are not there: {looked}"] if missing else []
    cut = [table for table in tables if table in ("cross-dataset", "domain-shift") and "imagenet" not in present]
    return (*lines, *(f"no table {table}: it trains on imagenet" for table in cut))


def _tell_closed(tables: Sequence[str], methods: Sequence[str]) -> tuple[str, ...]:
    closed = [name for name in methods if METHODS[name].novel == ""]
    cut = [table for table in tables if TABLES[table][0] in ("base-to-novel", "cross-dataset") and table != ZERO_SHOT]
    both = closed and cut
    return (f"not in {', '.join(cut)}, as they know trained classes alone: {', '.join(closed)}",) if both else ()


def _check_output(output: Path, resume: bool, overwrite: bool) -> None:
    """InputError where other work's results would be replaced."""
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; give one of them")
    taken = next((name for name in ("runs", FILE, TABLE, RUNS) if (output / name).exists()), None)
    if taken and not (resume or overwrite):
        raise InputError(
            f"output: {output} already holds {taken}; --resume it, --overwrite it or give another --output",
            page="output-taken",
        )
    check_run(output)
    check_writable(output)


def _finish(
    clip: HookedCLIP, seeds: tuple[int, ...], results: Sequence[Result], notes: Sequence[str], output: Path
) -> Reproduction:
    other, line = why_other(clip, zero_shot_percents(results))
    broken = sorted({key for result in results for key in result.left_out})
    lost = [f"accuracies are without images that cannot be read: {', '.join(broken[:3])}"] if broken else []
    told = (*notes, *lost, *([line] if line else []))
    found = Reproduction(make_rows(results, not other), clip.model_name, seeds, not other, told)
    on_main(lambda: _write(found, results, output))
    return found


def _write(found: Reproduction, results: Sequence[Result], output: Path) -> None:
    write_text(output / RUNS, write_runs(results))
    found.save(output / TABLE)
    found.save(output / FILE)


def _tell(say: Say | None, line: str) -> None:
    if say and is_main():
        say(line)
