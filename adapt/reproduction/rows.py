"""The rows of the tables: what was measured, averaged as papers average it, beside what they print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headroles.adapt.methods.registry import METHODS
from headroles.adapt.metrics import Measure, harmonic_mean, interval
from headroles.adapt.reproduction.benchmark import EUROSAT, TABLES, Training
from headroles.adapt.reproduction.published import (
    MEAN,
    WITHOUT,
    Published,
    average_published,
    find_published,
    read_published,
)
from headroles.files.ranges import Size

Seeds = Mapping[int, float]
"""Percent by seed."""


@dataclass(frozen=True)
class ReproducedRow:
    """One accuracy of ours beside a published one, either of which may lack; percent."""

    table: str
    """One of `headroles.adapt.reproduction.benchmark.TABLES`."""
    method: str
    """Its name in `headroles.adapt.METHODS`, or, where it is published alone, a name of its own."""
    title: str
    """What papers call it."""
    data_set: str
    """The data set, or "mean" over those of the table, or "mean without eurosat"."""
    shots: Size
    """Training images a class."""
    part: str
    """base, novel, hm, or all classes."""
    data_sets: int
    """Over how many data sets ours is; 0 where there is none of ours."""
    of: int
    """Over how many the table's is."""
    ours: float | None = None
    """Mean over seeds."""
    low: float | None = None
    """Lower end of its 95% interval over seeds; None for one seed."""
    high: float | None = None
    """Upper end."""
    published: float | None = None
    """The published figure."""
    difference: float | None = None
    """Ours minus it; None where the two are over different data sets."""
    rerun: bool = False
    """Whether the published figure is not of the method's authors, but of others who ran it again."""
    source: str = ""
    """Where it is published."""


@dataclass(frozen=True)
class Result:
    """What one adapter reaches."""

    training: Training
    """The training."""
    seed: int
    """Its seed."""
    measures: tuple[Measure, ...]
    """Its rows."""
    left_out: tuple[str, ...] = ()
    """Images that could not be read."""


def make_rows(results: Sequence[Result], published: bool) -> tuple[ReproducedRow, ...]:
    """Table by table, method by method: every data set, then the averages; with what is `published`, if that may be.

    The harmonic mean of an average is that of average base and average novel, as papers print it.
    """
    rows: list[ReproducedRow] = []
    for table in dict.fromkeys(result.training.table for result in results):
        own = [result for result in results if result.training.table == table]
        for method, shots in dict.fromkeys((each.training.method, each.training.shots) for each in own):
            few = [each for each in own if (each.training.method, each.training.shots) == (method, shots)]
            rows += [row for found, names in _measured(few) for row in _beside(found, names, published)]
        if published:
            rows += _published_alone(table, rows)
    return tuple(rows)


def zero_shot_percents(results: Sequence[Result]) -> dict[tuple[str, str], float]:
    """The frozen CLIP's accuracy by data set and part, wherever base and novel classes were tested."""
    return {
        (result.training.data_set, row.part): 100 * row.zero_shot
        for result in results
        for row in result.measures
        if result.training.protocol == "base-to-novel" and row.part in ("base", "novel")
    }


def _measured(results: Sequence[Result]) -> Iterator[tuple[ReproducedRow, tuple[str, ...]]]:
    """Ours, of one method and one number of shots, each with the data sets that it is over."""
    table = results[0].training.table
    values: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        for row in result.measures:
            if row.task in TABLES[table][1]:
                values.setdefault(row.task, {}).setdefault(row.part, {})[result.seed] = 100 * row.adapted
    training = results[0].training
    for name, parts in values.items():
        yield from ((_row(training, name, part, 1, 1, seeds), (name,)) for part, seeds in parts.items())
    if table != "domain-shift":
        for mean, left_out in ((MEAN, ()), (WITHOUT, (EUROSAT,))):
            kept = {name: parts for name, parts in values.items() if name not in left_out}
            if kept and (mean == MEAN or len(kept) < len(values)):
                of = len(set(TABLES[table][1]) - set(left_out))
                for part, seeds in _average(list(kept.values())).items():
                    yield _row(training, mean, part, len(kept), of, seeds), tuple(kept)


def _average(values: Sequence[Mapping[str, Seeds]]) -> dict[str, Seeds]:
    """Part -> seed -> the mean over data sets."""
    parts: dict[str, Seeds] = {
        part: {seed: float(np.mean([each[part][seed] for each in values])) for seed in values[0][part]}
        for part in values[0]
    }
    if "hm" in parts:
        parts["hm"] = {seed: harmonic_mean(parts["base"][seed], parts["novel"][seed]) for seed in parts["hm"]}
    return parts


def _row(training: Training, data_set: str, part: str, data_sets: int, of: int, seeds: Seeds) -> ReproducedRow:
    found = list(seeds.values())
    low, high = interval(found) or (None, None)
    place = (training.table, training.method, METHODS[training.method].title, data_set, training.shots, part)
    return ReproducedRow(*place, data_sets, of, float(np.mean(found)), low, high)


def _beside(row: ReproducedRow, names: tuple[str, ...], published: bool) -> list[ReproducedRow]:
    """The row with each published figure; alone where there is none, or none may stand there."""
    if not published:
        return [row]
    found = find_published(row.table, row.method, row.data_set, row.part, row.shots)
    if found and row.data_sets == row.of:
        return [_join(row, each, each.percent) for each in found]
    same = _average_published(row, names)
    if same is not None:
        own = replace(row, published=same, difference=(row.ours or 0.0) - same)
        return [replace(own, source="from the published figures of these data sets")]
    return [_join(row, each, None) for each in found] or [row]


def _join(row: ReproducedRow, each: Published, comparable: float | None) -> ReproducedRow:
    difference = None if comparable is None or row.ours is None else row.ours - comparable
    own = replace(row, title=each.title, rerun=each.rerun, source=each.source)
    return replace(own, published=each.percent, difference=difference)


def _average_published(row: ReproducedRow, names: tuple[str, ...]) -> float | None:
    """What the published figures of single data sets give over those of the row; None where they lack."""
    if row.part != "hm":
        return average_published(row.table, row.method, names, row.part, row.shots)
    base, novel = (average_published(row.table, row.method, names, half, row.shots) for half in ("base", "novel"))
    return None if base is None or novel is None else harmonic_mean(base, novel)


def _published_alone(table: str, rows: Sequence[ReproducedRow]) -> list[ReproducedRow]:
    """What is published of methods that were not run."""
    run = {row.method for row in rows if row.table == table}
    return [_quote(each) for each in read_published() if each.table == table and each.method not in run]


def _quote(each: Published) -> ReproducedRow:
    place = (each.table, each.method, each.title, each.data_set, each.shots, each.part)
    without = each.data_set == WITHOUT
    of = 1 if each.data_set in TABLES[each.table][1] else len(TABLES[each.table][1]) - without
    return ReproducedRow(*place, 0, of, published=each.percent, rerun=each.rerun, source=each.source)
