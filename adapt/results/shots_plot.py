"""Figure of a job with several numbers of shots: accuracy against training images a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.adapt.metrics import MEAN, Measure, name_shots, shot_counts, summarize
from headroles.errors import InputError
from headroles.figures.page import head
from headroles.figures.style import COLORS, Drawing, figure_style

if TYPE_CHECKING:
    from headroles.adapt.results.adapted import Adapted
    from headroles.adapt.results.evaluation import Evaluation
    from headroles.adapt.results.plot import Runs

_MOST = len(COLORS)
"""Lines in one panel that colours tell apart."""


def shots_figure(given: Evaluation | Adapted | Runs) -> Figure:
    """Adapted accuracy against shots, a panel a protocol and a line a task and part; dashed: the frozen CLIP.

    Bands are 95% intervals over seeds. Where a protocol tests several tasks, their mean alone is drawn. InputError
    where there is one number of shots.
    """
    measures = list_measures(given)
    counts = shot_counts(measures)
    if len(counts) < 2:
        raise InputError("kind: shots draws several numbers of shots; make them with headroles adapt --shots 1,2,4,8")
    protocols = list(dict.fromkeys(row.protocol for row in measures))
    with figure_style():
        figure = Drawing(figsize=(0.6 + 3.6 * len(protocols), 2.7), layout="constrained")
        head(figure, "Right answers against training images a class", "dashed: zero-shot; bands: 95% over seeds")
        for axes, protocol in zip(figure.subplots(1, len(protocols), squeeze=False)[0], protocols, strict=True):
            _draw(axes, [row for row in measures if row.protocol == protocol], counts)
        sns.despine(figure)
    return figure


def list_measures(given: Evaluation | Adapted | Runs) -> Sequence[Measure]:
    """The rows of what is drawn; those of folders are read."""
    from headroles.adapt.results.evaluation import Evaluation
    from headroles.adapt.results.plot import Runs
    from headroles.adapt.results.protocols import average_domains

    if isinstance(given, Runs):
        rows = [row for run in given for row in Evaluation.load(run.folder)]
        return [*rows, *average_domains(rows)]
    return given.rows if isinstance(given, Evaluation) else given.measures


def _gather(measures: Sequence[Measure]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Task and part -> the rows of its line, which are means over seeds; of means over tasks these alone."""
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in summarize(measures):
        lines.setdefault((row["task"], row["part"]), []).append(row)
    return {place: rows for place, rows in lines.items() if MEAN in place} or lines


def _draw(axes: Axes, measures: Sequence[Measure], counts: Sequence[int | None]) -> None:
    lines = _gather(measures)
    places = {count: place for place, count in enumerate(counts)}
    tasks = dict.fromkeys(task for task, _ in lines)
    names = {(task, part): f"{task}, {part}" if len(tasks) > 1 else part for task, part in lines}
    for number, ((task, part), rows) in enumerate(list(lines.items())[:_MOST]):
        rows, color = sorted(rows, key=lambda row: places[row["shots"]]), COLORS[number]
        at, adapted = [places[row["shots"]] for row in rows], [100 * row["adapted"] for row in rows]
        axes.plot(at, adapted, color=color, marker="o", markersize=3, label=names[task, part])
        axes.plot(at, [100 * row["zero_shot"] for row in rows], color=color, linestyle="--", linewidth=0.7)
        bounds = [row["adapted_interval"] or (row["adapted"],) * 2 for row in rows]
        low, high = np.clip(100 * np.array(bounds).T, 0, 100)
        axes.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_title("\n".join((*(tasks if len(tasks) == 1 else ()), measures[0].protocol)), loc="left")
    axes.set(xticks=range(len(counts)), xlabel="training images a class", ylabel="right, %")
    axes.set_xticklabels([name_shots(count).split()[0] for count in counts])
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
