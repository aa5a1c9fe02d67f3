"""Trials of tuning: what each set of settings reached on validation images, and which of them is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headroles.adapt.comparison.entries import Entry
from headroles.adapt.comparison.grids import RATE, list_trials
from headroles.adapt.comparison.record import CellRecord
from headroles.adapt.comparison.table import count_of
from headroles.files.ranges import Count, Share

HM = "hm"
"""The part that ranks trials where there is one."""
_END = "*"
"""Marks a rate at the upper end of what was tried."""


@dataclass(frozen=True)
class Trial:
    """What one set of settings reached on one task's validation images."""

    method: str
    """As the comparison calls it."""
    trial: Count
    """From 1."""
    settings: Mapping[str, Any]
    """What it changed of the method's preset."""
    task: str
    """What was trained."""
    accuracy: Share | None
    """On validation images: the harmonic mean of base and novel where there are both, else of all classes.

    None where it could not be trained, such as at too high a rate."""
    chosen: bool = False
    """Whether its mean over tasks was the best, of equals the first."""


def read_trials(records: Iterable[CellRecord]) -> tuple[Trial, ...]:
    """All trials that are over, by method, number and task; the best of every method is marked."""
    over = sorted(
        (each for each in records if each.over and each.trial is not None),
        key=lambda each: (each.name, each.trial or 0, each.task),
    )
    trials = [
        Trial(each.name, (each.trial or 0) + 1, each.settings["given"], each.task, _figure(each)) for each in over
    ]
    best = {name: _best([trial for trial in trials if trial.method == name]) for name in {each.name for each in over}}
    return tuple(replace(trial, chosen=trial.trial == best[trial.method]) for trial in trials)


def _figure(record: CellRecord) -> float | None:
    """The validation figure of a trial."""
    own = [row for row in record.rows if row.task == record.task] or list(record.rows)
    chosen = [row for row in own if row.part == HM] or own
    return sum(row.adapted for row in chosen) / len(chosen) if chosen else None


def _best(trials: Sequence[Trial]) -> int:
    """The number of the trial whose mean over tasks is highest, of equals the first; what failed counts as 0."""
    sums = _sums(trials)
    return max(sums, key=lambda number: (sums[number], -number))


def _sums(trials: Sequence[Trial]) -> dict[int, float]:
    """Of every trial what it reached on all tasks together, to 9 digits."""
    sums: dict[int, float] = {}
    for trial in trials:
        sums[trial.trial] = sums.get(trial.trial, 0.0) + (trial.accuracy or 0.0)
    return {number: round(found, 9) for number, found in sums.items()}


def choose(entries: Iterable[Entry], trials: Sequence[Trial]) -> tuple[Entry, ...]:
    """The entries with the settings that tuning chose; those without anything to tune as they are."""
    chosen = {trial.method: trial.trial for trial in trials if trial.chosen}
    return tuple(
        replace(entry, settings={**entry.settings, **list_trials(entry)[chosen[entry.name] - 1]})
        if entry.name in chosen
        else entry
        for entry in entries
    )


def say_tuned(trials: Sequence[Trial]) -> list[str]:
    """The line of a table's caption; none where nothing was tuned."""
    if not trials:
        return []
    own = {name: [each for each in trials if each.method == name] for name in sorted({each.method for each in trials})}
    counts = {len({each.trial for each in some}) for some in own.values()}
    tasks = count_of(len({trial.task for trial in trials}), "task")
    number = " to ".join(map(str, sorted({min(counts), max(counts)})))
    how = f"{number} trials a method on validation images of {tasks}, with a seed that is not reported"
    said = "; ".join(f"{name} {_say_chosen(some)}" for name, some in own.items())
    ends = " (*: the highest that was tried, so more may be better)" if _END in said else ""
    return [f"tuned: {how}; chosen: {said}{ends}"]


def _say_chosen(trials: Sequence[Trial]) -> str:
    """Of what a method's trials differ in, what the chosen one has; and whether others were as good."""
    every = {trial.trial: trial.settings for trial in trials}
    best = next(trial.trial for trial in trials if trial.chosen)
    alike = [name for name in every[best] if all(each.get(name) == every[best][name] for each in every.values())]
    highest = max((each[RATE] for each in every.values() if RATE in each), default=None)
    values = [
        f"{name}={_show(value)}" + _END * (name == RATE and value == highest)
        for name, value in every[best].items()
        if name not in alike
    ]
    sums = _sums(trials)
    equal = sum(found == sums[best] for found in sums.values()) - 1
    return (" ".join(values) or "unchanged") + (f" ({equal} of the others as good)" if equal else "")


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
