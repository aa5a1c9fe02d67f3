"""Continual: accuracy on every task after every training, and what follows from it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.adapt.adapter.info import METRICS, TABLE
from headroles.adapt.metrics import Measure, interval
from headroles.adapt.results.continual import ContinualMeasures, measure_continual
from headroles.adapt.results.evaluation import Evaluation
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.whole import replacing_together, write_text
from headroles.heads.names import head_name
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

MATRIX, DRIFT = "continual.csv", "drift.csv"
PROTOCOL = "continual "
"""What the rows' protocols begin with; the strategy follows."""
_NUMBERS = {
    **{"transfer": "Transfer", "average": "Avg", "last": "Last", "forgetting": "Forget", "backward_transfer": "BWT"},
    "zero_shot_degradation": "ZSD",
}
"""Fields of ContinualMeasures -> as papers write them."""


@dataclass(frozen=True)
class HeadDrift:
    """How far heads have moved from the frozen CLIP's after the last task, over images of one task."""

    seed: int
    """Seed of the trainings."""
    strategy: str
    """One of `headroles.adapt.continual.ways.STRATEGIES`."""
    task: str
    """Whose images."""
    values: tuple[tuple[float, ...], ...]
    """Layer by layer, head by head: 1 - cosine of mean contributions, in [0, 2]."""


@dataclass(frozen=True, repr=False)
class Continual(Document, Shown):
    """What several tasks, one after the other, do to each other."""

    called, made_by, file_name = "continual result", "headroles adapt --tasks", "continual.json"
    figures: ClassVar[Mapping[str, str]] = {
        "matrix": "headroles.adapt.continual.plot:matrix_figure",
        "drift": "headroles.adapt.continual.plot:drift_figure",
    }

    model: str
    """The frozen CLIP."""
    method: str
    """How it was adapted."""
    tasks: tuple[str, ...]
    """In the order in which they were trained."""
    rows: tuple[Measure, ...]
    """One a seed, strategy, task and training: protocol "continual STRATEGY", part "after J", J tasks trained."""
    drift: tuple[HeadDrift, ...] = ()
    """One a seed, strategy and task; none where it was not asked for, or no token stands for an image."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Head, such as L6.H3 -> its role in the role map; none where there is none."""
    format: str = "headroles.continual"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The figures that there is something to draw for."""
        return tuple(kind for kind in self.figures if kind != "drift" or self.drift)

    @property
    def strategies(self) -> tuple[str, ...]:
        """What was compared."""
        return tuple(dict.fromkeys(row.protocol.removeprefix(PROTOCOL) for row in self.rows))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings."""
        return tuple(dict.fromkeys(row.seed for row in self.rows))

    def matrix(self, strategy: str, seed: int | None = None) -> Float[ndarray, "task trained"]:
        """p: accuracy on each task after training on 0 (zero-shot), 1, ... T tasks; `seed` None: mean over seeds."""
        if strategy not in self.strategies:
            raise InputError(f"strategy must be one of {', '.join(self.strategies)}, got {strategy!r}")
        if seed is None:
            mean: ndarray = np.mean([self.matrix(strategy, each) for each in self.seeds], axis=0)
            return mean
        own = [row for row in self.rows if row.protocol == PROTOCOL + strategy and row.seed == seed]
        cells = {(row.task, row.part): row for row in own}
        after = [f"after {count}" for count in range(1, len(self.tasks) + 1)]
        try:
            return np.array(
                [
                    [cells[task, after[0]].zero_shot, *(cells[task, part].adapted for part in after)]
                    for task in self.tasks
                ]
            )
        except KeyError as error:
            raise InputError(f"seed: no row of {strategy} with seed {seed} for {error.args[0]}; adapt again") from error

    def measures(self, strategy: str) -> tuple[ContinualMeasures, ...]:
        """The six numbers of every seed."""
        return tuple(measure_continual(self.matrix(strategy, seed)) for seed in self.seeds)

    def to_frame(self) -> pd.DataFrame:
        """One row a seed, strategy, task and number of trained tasks, 0 for zero-shot; accuracies in [0, 1]."""
        import pandas as pd

        rows = [
            (seed, strategy, task, trained, accuracy)
            for seed in self.seeds
            for strategy in self.strategies
            for task, line in zip(self.tasks, self.matrix(strategy, seed).tolist(), strict=True)
            for trained, accuracy in enumerate(line)
        ]
        return pd.DataFrame(rows, columns=["seed", "strategy", "task", "trained", "accuracy"])

    def measures_frame(self) -> pd.DataFrame:
        """One row a seed and strategy: the six numbers."""
        import pandas as pd

        named = ((strategy, zip(self.seeds, self.measures(strategy), strict=True)) for strategy in self.strategies)
        rows = [{"seed": s, "strategy": name, **dataclasses.asdict(each)} for name, found in named for s, each in found]
        return pd.DataFrame(rows)

    def drift_frame(self) -> pd.DataFrame:
        """One row a seed, strategy, task and head: its role, "" where none is known, and its drift."""
        import pandas as pd

        rows = [
            (each.seed, each.strategy, each.task, layer, head, self.roles.get(head_name((layer, head)), ""), value)
            for each in self.drift
            for layer, line in enumerate(each.values)
            for head, value in enumerate(line)
        ]
        return pd.DataFrame(rows, columns=["seed", "strategy", "task", "layer", "head", "role", "drift"])

    def evaluation(self) -> Evaluation:
        """The rows alone."""
        return Evaluation(self.rows)

    def write(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """continual.json, continual.csv (the matrices), metrics.json and metrics.csv (the rows), drift.csv.

        All of them or, where writing fails, none; returns them.
        """
        folder = Path(folder)
        names = [MATRIX, TABLE, METRICS, *([DRIFT] if self.drift else []), self.file_name]
        with replacing_together(folder, self.file_name) as staging:
            for name in (MATRIX, self.file_name):
                self.save(staging / name)
            for name in (TABLE, METRICS):
                self.evaluation().save(staging / name)
            if self.drift:
                write_text(staging / DRIFT, self.drift_frame().to_csv(index=False))
        return tuple(folder / name for name in names)

    def to_table(self) -> str:
        """The six numbers of every strategy, the matrices, and the heads' drift by role; as text, in percent."""
        heading = "percent of right answers" + (
            f", mean of {len(self.seeds)} seeds with 95% interval" if len(self.seeds) > 1 else ""
        )
        parts = [f"{heading}\n{align(self._number_rows())}"]
        parts += [align(self._matrix_rows(strategy)) for strategy in self.strategies]
        if self.drift:
            parts.append("drift of heads, 1 - cosine with the frozen CLIP's, x 100\n" + align(self._drift_rows()))
        return "\n\n".join(parts)

    def _number_rows(self) -> list[list[str]]:
        rows = [["", *_NUMBERS.values()]]
        for strategy in self.strategies:
            found = self.measures(strategy)
            rows.append([strategy, *(_percent([getattr(each, name) for each in found]) for name in _NUMBERS)])
        return rows

    def _matrix_rows(self, strategy: str) -> list[list[str]]:
        named = [f"{number} {task}" for number, task in enumerate(self.tasks, 1)]
        after = [f"after {number + 1}" for number in range(len(named))]
        lines = zip(named, self.matrix(strategy).tolist(), strict=True)
        return [[strategy, "zero-shot", *after], *([task, *(f"{100 * p:.1f}" for p in line)] for task, line in lines)]

    def _drift_rows(self) -> list[list[str]]:
        frame = self.drift_frame()
        roles = [role for role in dict.fromkeys(frame["role"]) if role]
        rows = [["", "all heads", *roles]]
        for strategy in dict.fromkeys(frame["strategy"]):
            own = frame[frame["strategy"] == strategy]
            parts = [own, *(own[own["role"] == role] for role in roles)]
            rows.append([strategy, *(f"{100 * part['drift'].mean():.1f}" for part in parts)])
        return rows

    def __repr__(self) -> str:
        return f"Continual({self.model} by {self.method} through {', '.join(self.tasks)}; {', '.join(self.strategies)})"

    def _repr_html_(self) -> str:
        heading, *rows = self._number_rows()
        return html_table(repr(self), heading, rows)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line) for line in lines)


def _percent(values: Sequence[float]) -> str:
    bounds: Any = interval(values)
    return f"{100 * np.mean(values):.1f}" + (f" ±{50 * (bounds[1] - bounds[0]):.1f}" if bounds else "")
