"""The rows of an evaluation: one a seed, protocol, task and part; as JSON, CSV or table. Needs no torch."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
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
    """base, novel, hm (harmonic mean), or all (all classes); over tasks "mean of hm" and "hm of means", not hm."""
    images: Count
    """Tested images; for a mean or hm, of all its parts."""
    zero_shot: Share
    """The frozen CLIP, in [0, 1]."""
    adapted: Share
    """The adapted CLIP, in [0, 1]."""
    per_class: Mapping[str, Mapping[str, Share | None]] = dataclasses.field(default_factory=dict)
    """"zero_shot" and "adapted" -> class -> accuracy; empty for hm and mean."""

    @property
    def difference(self) -> float:
        """Adapted minus zero-shot: on retention tasks, what the adapter costs or gives."""
        return self.adapted - self.zero_shot


COLUMNS = (*(field.name for field in dataclasses.fields(Measure) if field.name != "per_class"), "difference")
"""Of metrics.csv."""
HEADING = ("protocol", "task", "classes", "zero-shot", "adapted", "difference")
"""Of tables in words."""


def harmonic_mean(base: float, novel: float) -> float:
    """2 / (1 / base + 1 / novel); 0 where one of them is."""
    return 2 * base * novel / (base + novel) if base and novel else 0.0


def with_mean(measures: list[Measure]) -> list[Measure]:
    """The rows and, if there are several, their unweighted mean."""
    if len(measures) < 2:
        return measures
    first, images = measures[0], sum(measure.images for measure in measures)
    zero_shot, adapted = (float(np.mean([getattr(row, name) for row in measures])) for name in ("zero_shot", "adapted"))
    return [*measures, Measure(first.seed, first.protocol, MEAN, first.part, images, zero_shot, adapted)]


def average_halves(measures: Sequence[Measure]) -> list[Measure]:
    """Rows over several tasks from their rows base, novel and hm; none for a single task.

    Unweighted means of base and novel, and two harmonic means: "mean of hm" averages the tasks' own, "hm of means" is
    that of mean base and mean novel, which papers print as their average over data sets.
    """
    parts = [[row for row in measures if row.part == part] for part in ("base", "novel", "hm")]
    if len(parts[0]) < 2:
        return []
    base, novel, hm = (with_mean(part)[-1] for part in parts)
    return [base, novel, dataclasses.replace(hm, part="mean of hm"), join_halves(base, novel, "hm of means")]


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
    """Mean and 95% interval over seeds of every (protocol, task, part): zero_shot, adapted and their difference."""
    groups: dict[tuple[str, str, str], list[Measure]] = {}
    for measure in measures:
        groups.setdefault((measure.protocol, measure.task, measure.part), []).append(measure)
    rows = []
    for (protocol, task, part), group in groups.items():
        row: dict[str, Any] = {"protocol": protocol, "task": task, "part": part, "seeds": len(group)}
        for name in ("zero_shot", "adapted", "difference"):
            values = [getattr(measure, name) for measure in group]
            row[name], row[f"{name}_interval"] = float(np.mean(values)), interval(values)
        rows.append(row)
    return rows


def to_json(measures: Sequence[Measure], **more: Any) -> str:
    """metrics.json: "rows" (one a seed, protocol, task and part, with accuracies per class), "summary", and `more`."""
    rows = [dataclasses.asdict(measure) | {"difference": measure.difference} for measure in measures]
    whole = {"schema_version": 1, "rows": rows, "summary": summarize(measures), **more}
    return dump_json(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_measures(text: str) -> list[Measure]:
    """The rows of a metrics.json; KeyError, TypeError or ValueError where it has none, or other ones."""
    names = {field.name for field in dataclasses.fields(Measure)}
    rows = from_plain(list, parse_json(text, "metrics.json", "adapter")["rows"], "rows")
    return [from_plain(Measure, {key: row[key] for key in names}, f"rows[{place}]") for place, row in enumerate(rows)]


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


def table_rows(measures: Sequence[Measure]) -> list[tuple[str, ...]]:
    """Cells below `HEADING`: means over seeds in percent, with 95% intervals where there are several seeds."""
    return [_cells(row) for row in summarize(measures)]


def to_table(measures: Sequence[Measure], markdown: bool = False) -> str:
    """Mean over seeds in percent, zero-shot beside adapted, with 95% intervals where there are several seeds."""
    rows = [HEADING, *table_rows(measures)]
    if markdown:
        rows.insert(1, ("---", "---", "---", "---:", "---:", "---:"))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def percent(name: str, sign: str = "") -> str:
        bounds = row[f"{name}_interval"]
        around = "" if bounds is None else f" ±{100 * (bounds[1] - bounds[0]) / 2:.1f}"
        return f"{100 * row[name]:{sign}.1f}{around}"

    numbers = percent("zero_shot"), percent("adapted"), percent("difference", "+")
    return row["protocol"], row["task"], row["part"], *numbers
