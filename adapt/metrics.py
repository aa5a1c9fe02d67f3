"""The rows of an evaluation: one a seed, protocol, task and part; as JSON, CSV or table. Needs no torch."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from headroles.files.json_files import dump_json, parse_json
from headroles.files.plain import from_plain
from headroles.files.ranges import Count, Share

if TYPE_CHECKING:
    import pandas as pd

MEAN = "mean"
"""Name of the row that averages several tasks."""


@dataclass(frozen=True)
class Accuracy:
    """Right answers, class by class."""

    classes: tuple[str, ...]
    """Class names."""
    right: tuple[int, ...]
    """Right answers among the images of each class."""
    total: tuple[int, ...]
    """Images of each class."""

    def keep(self, kept: Sequence[bool]) -> Accuracy:
        """That of the images of some classes."""
        right, total = (tuple(itertools.compress(counts, kept)) for counts in (self.right, self.total))
        return Accuracy(tuple(itertools.compress(self.classes, kept)), right, total)

    @property
    def mean(self) -> float:
        """Top-1 over all images, in [0, 1]."""
        return sum(self.right) / sum(self.total)

    @property
    def per_class(self) -> dict[str, float | None]:
        """Class name -> accuracy; None for a class without images."""
        rows = zip(self.classes, self.right, self.total, strict=True)
        return {name: right / total if total else None for name, right, total in rows}


@dataclass(frozen=True)
class Measure:
    """One row of the results: what the frozen and the adapted CLIP reach with one seed on one part of a protocol."""

    seed: int
    """Seed of the shots and of the training."""
    protocol: str
    """One of `PROTOCOLS`, or "retention"."""
    task: str
    """The tested task, or "mean"."""
    part: str
    """base, novel, hm (harmonic mean), or all (all classes); over tasks "mean of hm" and "hm of means", not hm.

    Where domains are left out in turn: the domain that was, or "mean".
    """
    images: Count
    """Tested images; for a mean or hm, of all its parts."""
    zero_shot: Share
    """The frozen CLIP, in [0, 1]."""
    adapted: Share
    """The adapted CLIP, in [0, 1]."""
    per_class: Mapping[str, Mapping[str, Share | None]] = dataclasses.field(default_factory=dict)
    """"zero_shot" and "adapted" -> class -> accuracy; empty for hm and mean."""
    shots: int | None = None
    """Training images a class; None for all of them, and in files of older versions."""

    @property
    def difference(self) -> float:
        """Adapted minus zero-shot: on retention tasks, what the adapter costs or gives."""
        return self.adapted - self.zero_shot


COLUMNS = (*(field.name for field in dataclasses.fields(Measure) if field.name != "per_class"), "difference")
"""Of metrics.csv."""
_PLACE = ("protocol", "task", "part")
HEADING = (*_PLACE, "zero-shot", "adapted", "difference")
"""Of tables in words; `table_heading` says it for several numbers of shots."""


def harmonic_mean(base: float, novel: float) -> float:
    """2 / (1 / base + 1 / novel); 0 where one of them is."""
    return 2 * base * novel / (base + novel) if base and novel else 0.0


def with_mean(measures: list[Measure]) -> list[Measure]:
    """The rows and, if there are several, their unweighted mean."""
    if len(measures) < 2:
        return measures
    return [*measures, average(measures, task=MEAN)]


def average(measures: Sequence[Measure], **place: str) -> Measure:
    """The row of unweighted means over some rows, otherwise as the first of them; `place`: its task, or its part."""
    zero_shot, adapted = (float(np.mean([getattr(row, name) for row in measures])) for name in ("zero_shot", "adapted"))
    images, first = sum(row.images for row in measures), {**vars(measures[0]), **place}
    return Measure(**{**first, "images": images, "zero_shot": zero_shot, "adapted": adapted, "per_class": {}})


def average_halves(measures: Sequence[Measure]) -> list[Measure]:
    """Rows over several tasks from their rows base, novel and hm; none for a single task.

    Unweighted means of base and novel, and two harmonic means: "mean of hm" averages the tasks' own, "hm of means" is
    that of mean base and mean novel, which papers print as their average over data sets. Of rows all too, where the
    same protocol has them.
    """
    parts = [[row for row in measures if row.part == part] for part in ("base", "novel", "hm")]
    if len(parts[0]) < 2:
        return []
    base, novel, hm = (average(part, task=MEAN) for part in parts)
    whole = [row for row in measures if row.part == "all" and row.protocol == base.protocol]
    more = [average(whole, task=MEAN)] if whole else []
    return [base, novel, dataclasses.replace(hm, part="mean of hm"), join_halves(base, novel, "hm of means"), *more]


def join_halves(base: Measure, novel: Measure, part: str = "hm") -> Measure:
    """The row of the harmonic means of two rows."""
    zero_shot, adapted = (harmonic_mean(getattr(base, name), getattr(novel, name)) for name in ("zero_shot", "adapted"))
    images = base.images + novel.images
    return dataclasses.replace(base, part=part, images=images, zero_shot=zero_shot, adapted=adapted, per_class={})


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean over seeds; None for a single value."""
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def summarize(measures: Sequence[Measure]) -> list[dict[str, Any]]:
    """Mean and 95% interval over seeds of every (protocol, task, part, shots): zero_shot, adapted, their difference.

    Rows of one seed, such as retention by adapters that left out other domains, count as their mean.
    """
    groups: dict[tuple[str, str, str, int | None], dict[int, list[Measure]]] = {}
    for row in measures:
        place = (row.protocol, row.task, row.part, row.shots)
        groups.setdefault(place, {}).setdefault(row.seed, []).append(row)
    return [_summarize(place, by_seed.values()) for place, by_seed in groups.items()]


def _summarize(place: tuple[str, str, str, int | None], seeds: Collection[Sequence[Measure]]) -> dict[str, Any]:
    row: dict[str, Any] = {**dict(zip((*_PLACE, "shots"), place, strict=True)), "seeds": len(seeds)}
    for name in ("zero_shot", "adapted", "difference"):
        values = [float(np.mean([getattr(measure, name) for measure in of_seed])) for of_seed in seeds]
        row[name], row[f"{name}_interval"] = float(np.mean(values)), interval(values)
    return row


def to_json(measures: Sequence[Measure], **more: Any) -> str:
    """metrics.json: "rows" (one a seed, protocol, task and part, with accuracies per class), "summary", and `more`."""
    rows = [dataclasses.asdict(measure) | {"difference": measure.difference} for measure in measures]
    whole = {"schema_version": 1, "rows": rows, "summary": summarize(measures), **more}
    return dump_json(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_measures(text: str) -> list[Measure]:
    """The rows of a metrics.json; KeyError, TypeError or ValueError where it has none, or other ones."""
    names = {field.name for field in dataclasses.fields(Measure)}
    rows = from_plain(list, parse_json(text, "metrics.json", "adapter")["rows"], "rows")
    needed = names - {"shots"}  # Older files have none.
    return [
        from_plain(Measure, {key: row[key] for key in names if key in needed or key in row}, f"rows[{place}]")
        for place, row in enumerate(rows)
    ]


def to_csv(measures: Sequence[Measure]) -> str:
    """metrics.csv: the rows without accuracies per class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[getattr(measure, name) for name in COLUMNS] for measure in measures])
    return text.getvalue()


def to_frame(measures: Sequence[Measure]) -> pd.DataFrame:
    """The columns of metrics.csv as a frame; accuracies in [0, 1]."""
    import pandas as pd

    return pd.DataFrame([[getattr(measure, name) for name in COLUMNS] for measure in measures], columns=list(COLUMNS))


def shot_counts(measures: Sequence[Measure]) -> list[int | None]:
    """The different numbers of shots, rising; None, all images, is the last."""
    return sorted({row.shots for row in measures}, key=lambda shots: (shots is None, shots))


def name_shots(shots: int | None) -> str:
    """As tables and pictures name it: 4 shots."""
    return "all images" if shots is None else "1 shot" if shots == 1 else f"{shots} shots"


def table_heading(measures: Sequence[Measure]) -> tuple[str, ...]:
    """Above `table_rows`: `HEADING`, or, of several numbers of shots, a column each."""
    counts = shot_counts(measures)
    return HEADING if len(counts) < 2 else (*_PLACE, "zero-shot", *map(name_shots, counts))


def table_rows(measures: Sequence[Measure]) -> list[tuple[str, ...]]:
    """Cells below `table_heading`: means over seeds in percent, with 95% intervals where there are several seeds."""
    rows, counts = summarize(measures), shot_counts(measures)
    if len(counts) < 2:
        return [_cells(row, ("zero_shot", "adapted", "difference")) for row in rows]
    places: dict[tuple[str, ...], dict[int | None, dict[str, Any]]] = {}
    for row in rows:
        places.setdefault(tuple(row[name] for name in _PLACE), {})[row["shots"]] = row
    return [
        (*_cells(next(iter(found.values())), ("zero_shot",)), *(_percent(found.get(n), "adapted") for n in counts))
        for found in places.values()
    ]


def to_table(measures: Sequence[Measure], markdown: bool = False) -> str:
    """Mean over seeds in percent, zero-shot beside adapted, with 95% intervals where there are several seeds."""
    rows = [table_heading(measures), *table_rows(measures)]
    if markdown:
        rows.insert(1, tuple("---:" if column > 2 else "---" for column in range(len(rows[0]))))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    return (*(row[name] for name in _PLACE), *(_percent(row, name) for name in names))


def _percent(row: Mapping[str, Any] | None, name: str) -> str:
    if row is None:
        return "-"
    bounds, sign = row[f"{name}_interval"], "+" if name == "difference" else ""
    around = "" if bounds is None else f" ±{100 * (bounds[1] - bounds[0]) / 2:.1f}"
    return f"{100 * row[name]:{sign}.1f}{around}"
