"""Comparison: the rows of many methods on many tasks with many seeds, what they cost, and how they were tuned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from headroles.adapt.comparison.entries import FROZEN
from headroles.adapt.comparison.record import CellRecord
from headroles.adapt.comparison.rows import ComparedRow
from headroles.adapt.comparison.summary import Summary
from headroles.adapt.comparison.table import MethodFacts, check_format, tables_of, write_tables
from headroles.adapt.comparison.trials import Trial, say_tuned
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Amount, Count, Filled
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "headroles.comparison"
FIGURES: Mapping[str, str] = {
    "ranks": "headroles.adapt.comparison.plot:ranks_figure",
    "pareto": "headroles.adapt.comparison.plot:pareto_figure",
    "halves": "headroles.adapt.comparison.plot:halves_figure",
}
"""Kind -> where it is drawn."""
EUROSAT = "eurosat"
"""The data set that decides rankings by itself; averages are printed without it too."""


@dataclass(frozen=True)
class CellCost:
    """What one training took; depends on the machine."""

    method: str
    """As the comparison calls it."""
    task: str
    """What was trained."""
    seed: Count
    """Of shots and training."""
    seconds: Amount | None
    """Of the training alone; None where it was done before a stop."""
    memory: Count | None
    """Most bytes of its process meanwhile; on CUDA of its tensors."""


@dataclass(frozen=True, repr=False)
class Comparison(Document, Shown):
    """Methods x tasks x seeds: what each cell reaches and costs."""

    called, made_by, file_name = "comparison", "headroles compare", "comparison.json"
    figures: ClassVar[Mapping[str, str]] = FIGURES

    model: str
    """sha256 over the weights of the CLIP."""
    shots: Count | Annotated[tuple[Count | None, ...], Filled()] | None
    """Training images a class; None for all; several where every cell has several trainings."""
    rows: tuple[ComparedRow, ...]
    """One a method, task, seed, protocol and part, by these in the order of the alphabet."""
    costs: tuple[CellCost, ...] = ()
    """One a method, task and seed."""
    trials: tuple[Trial, ...] = ()
    """One a method, set of settings and task, where settings were tuned."""
    failed: tuple[str, ...] = ()
    """Cells that could not be done, and why, a line each."""
    notes: tuple[str, ...] = ()
    """What was left out, and what is still to be done, a line each."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    @classmethod
    def of_cells(cls, records: Iterable[CellRecord], trials: Sequence[Trial] = (), **more: Any) -> Comparison:
        """From the records of cells that are done; `more` are further fields. InputError where there are none."""
        cells = sorted(
            (each for each in records if each.done and each.trial is None),
            key=lambda each: (each.name, each.task, each.seed),
        )
        if not cells:
            raise InputError("compare: no cell is done yet; start one with --methods and --tasks")
        rows = tuple(row for each in cells for row in _compared(each))
        costs = tuple(CellCost(each.name, each.task, each.seed, each.seconds, each.memory) for each in cells)
        model, shots = (cells[0].bed[name] for name in ("model", "shots"))
        return cls(model, tuple(shots) if isinstance(shots, list) else shots, rows, costs, tuple(trials), **more)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the lines, without the frozen CLIP's where nobody asked for it."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that were trained."""
        return tuple(sorted({row.task for row in self.rows}))

    def facts(self) -> dict[str, MethodFacts]:
        """Method -> trained numbers, seconds and memory."""
        return {name: self._facts(name) for name in self.methods}

    def _facts(self, name: str) -> MethodFacts:
        trained = {(row.task, row.seed): row.trained for row in self.rows if row.method == name}
        costs = [cost for cost in self.costs if cost.method == name]
        seconds = [cost.seconds for cost in costs if cost.seconds is not None]
        memory = [cost.memory for cost in costs if cost.memory is not None]
        mean = sum(seconds) / len(seconds) if seconds else None
        return MethodFacts(sum(trained.values()) / len(trained), mean, max(memory, default=None))

    def summary(self, reference: str = FROZEN, without: Iterable[str] = ()) -> Summary:
        """Means over tasks and seeds, and differences from `reference`; `without` some of the tasks."""
        return Summary.of(self.rows, reference, without)

    def summaries(self, reference: str = FROZEN) -> tuple[Summary, ...]:
        """Over all tasks and, where EuroSAT is among several, without it."""
        left_out = [task for task in self.tasks if EUROSAT in task.lower()]
        own = (self.summary(reference),)
        return (*own, self.summary(reference, left_out)) if 0 < len(left_out) < len(self.tasks) else own

    def to_table(self, form: str = "text", reference: str = FROZEN) -> str:
        """Means and differences over all tasks and, where EuroSAT is among several, without it.

        `form`: text, markdown, csv, latex or html.
        """
        check_format(form)
        summaries = self.summaries(reference)
        if form == "csv":
            return self._to_csv(summaries)
        tables = [table for each in summaries for table in tables_of(each, self.facts())]
        lacking = [note for each in summaries[:1] for note in each.notes]
        return write_tables(tables, [*_explain(summaries), *say_tuned(self.trials), *lacking, *self.notes], form)

    def _to_csv(self, summaries: Sequence[Summary]) -> str:
        import pandas as pd

        facts = pd.DataFrame(
            [{"method": name, **dataclasses.asdict(each)} for name, each in self.facts().items()],
            columns=["method", *(each.name for each in dataclasses.fields(MethodFacts))],
        )
        frames = [each.to_frame().assign(without=" ".join(each.without)) for each in summaries]
        table = self._with_shots(pd.concat(frames)).merge(facts, "left", "method")
        text: str = table.to_csv(index=False, lineterminator="\n")
        return text.rstrip("\n")

    def to_frame(self) -> pd.DataFrame:
        """results.csv: one row a method, task, seed, protocol and part, without what depends on the machine."""
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(ComparedRow)]
        frame = pd.DataFrame([dataclasses.astuple(row) for row in self.rows], columns=columns)
        frame.insert(columns.index("adapted") + 1, "difference", frame["adapted"] - frame["zero_shot"])
        return self._with_shots(frame)

    def _with_shots(self, frame: pd.DataFrame) -> pd.DataFrame:
        """With the training images a class, or all, also where every cell has the same number of them."""
        if isinstance(self.shots, tuple):
            return frame
        return frame.assign(shots="all" if self.shots is None else self.shots)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The figures that there is something to draw for."""
        found = self.summary()
        parts = {each.score.part for each in found.scores}
        drawn = {"ranks": len(found.methods) > 2 and len(found.main.block.tasks) > 1, "pareto": True}
        return tuple(kind for kind in FIGURES if drawn.get(kind, {"base", "novel"} <= parts))

    def __repr__(self) -> str:
        seeds = len({row.seed for row in self.rows})
        return f"Comparison({len(self.methods)} methods x {len(self.tasks)} tasks x {seeds} seeds, {len(self)} rows)"

    def _repr_html_(self) -> str:
        found = tables_of(self.summary(), self.facts())
        return "".join(html_table(each.caption, each.heading, each.rows) for each in found)


def _compared(record: CellRecord) -> list[ComparedRow]:
    """A cell's rows."""
    counts = {vars(row).get("shots") for row in record.rows}
    return [
        ComparedRow(
            record.name, record.task, record.seed, row.protocol, row.task, row.part, row.images, row.zero_shot,
            row.adapted, record.trained, vars(row).get("shots") if len(counts) > 1 else None,
        )
        for row in record.rows
    ]  # fmt: skip


def _explain(summaries: Sequence[Summary]) -> list[str]:
    """What the tables' signs mean, and of how much their intervals can speak."""
    blocks = [each.block for summary in summaries for each in summary.scores]
    tasks, seeds = (max((len(getattr(block, name)) for block in blocks), default=0) for name in ("tasks", "seeds"))
    wins = "wins/ties/losses: over tasks, of means over seeds"
    if tasks < 2:
        own = "so that there is neither interval nor p" if seeds < 2 else "± and p are for other seeds of it alone"
        return [f"of one task nothing follows for others, {own}; {wins}"]
    of = "other tasks like these and other seeds (two-way: tasks crossed with seeds)"
    if seeds < 2:
        of = "other tasks like these with this very seed: one seed says nothing of others"
    few = f"; {tasks} tasks say little of others, so intervals are wide" if tasks < _FEW else ""
    return [f"±: half a 95% interval for {of}{few}; p: paired by task and seed, after Holm over the methods; {wins}"]


_FEW = 5
"""Fewer tasks than these give intervals that are told to be wide."""
