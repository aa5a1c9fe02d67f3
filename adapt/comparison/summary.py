"""Summary: every method's means over tasks and seeds, and what it differs by from a reference, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.adapt.comparison.crossed import CrossedMean, adjust_holm, join_halves
from headroles.adapt.comparison.entries import FROZEN
from headroles.adapt.comparison.rows import Block, Cells, ComparedRow, Score, gather_scores
from headroles.errors import InputError
from headroles.files.latex import Tabled

if TYPE_CHECKING:
    import pandas as pd

HM, OF_HM, OF_MEANS = "hm", "mean of hm", "hm of means"
"""The part that a task has, and its two averages over tasks."""
_TIE = 1e-9


@dataclass(frozen=True)
class Difference:
    """A method minus the reference, over the same cells."""

    mean: CrossedMean
    """Over tasks and seeds."""
    adjusted: float | None
    """Its p-value after Holm, over all methods that are held against the reference by this score."""
    wins: int
    """Tasks on which its mean over seeds is higher."""
    ties: int
    """Tasks on which it is equal."""
    losses: int
    """Tasks on which it is lower."""


@dataclass(frozen=True)
class ScoreSummary:
    """One score of all methods."""

    score: Score
    """Which; its part is "mean of hm" or "hm of means" where tasks have harmonic means."""
    block: Block
    """The tasks and seeds that all have."""
    tables: Mapping[str, Float[ndarray, "task seed"]]
    """Method -> its cells; those of "hm of means" are linearised (`headroles.adapt.comparison.crossed.join_halves`)."""
    means: Mapping[str, CrossedMean]
    """Method -> its mean."""
    differences: Mapping[str, Difference]
    """Method -> what it differs by; without the reference."""

    @classmethod
    def of(
        cls, score: Score, block: Block, tables: Mapping[str, Float[ndarray, "task seed"]], reference: str
    ) -> ScoreSummary:
        """From every method's cells."""
        means = {name: CrossedMean.of(table) for name, table in tables.items()}
        others = [name for name in tables if name != reference and reference in tables]
        gaps = {name: tables[name] - tables[reference] for name in others}
        paired = {name: CrossedMean.of(gap) for name, gap in gaps.items()}
        adjusted = adjust_holm([paired[name].p_value for name in others])
        differences = {
            name: Difference(paired[name], p_value, *_count(gaps[name].mean(1)))
            for name, p_value in zip(others, adjusted, strict=True)
        }
        return cls(score, block, tables, means, differences)


def _count(gaps: Float[ndarray, "task"]) -> tuple[int, int, int]:
    """Wins, ties, losses."""
    return int((gaps > _TIE).sum()), int((abs(gaps) <= _TIE).sum()), int((gaps < -_TIE).sum())


@dataclass(frozen=True)
class Summary(Tabled):
    """All scores of all methods over tasks and seeds."""

    reference: str
    """The method that the others are held against."""
    methods: tuple[str, ...]
    """By the last score of a protocol's own task (of base-to-novel "hm of means"), the best first."""
    scores: tuple[ScoreSummary, ...]
    """Of every protocol the parts in their order."""
    without: tuple[str, ...] = ()
    """Tasks that are left out."""
    notes: tuple[str, ...] = ()
    """What cells are lacking, a line each."""

    @classmethod
    def of(cls, rows: Sequence[ComparedRow], reference: str = FROZEN, without: Iterable[str] = ()) -> Summary:
        """InputError for a reference that is not there, or where no task is left."""
        gathered = gather_scores(rows)
        if reference not in gathered:
            raise InputError(f"reference must be one of {', '.join(sorted(gathered))}, got {reference!r}")
        without = tuple(sorted(set(without)))
        scores, notes = [], list[str]()
        for score in _order(gathered):
            cells = {name: of[score] for name, of in gathered.items() if score in of}
            scores += _summarize(score, cells, reference, without, gathered)
            notes += _say_lacking(score, cells)
        if not scores:
            raise InputError(f"tasks: none is left without {', '.join(without)}; compare more of them")
        return cls(reference, _rank(scores), tuple(scores), without, tuple(dict.fromkeys(notes)))

    @property
    def main(self) -> ScoreSummary:
        """The score that ranks the methods."""
        return _main(self.scores)

    def to_frame(self) -> pd.DataFrame:
        """One row a method and score: means, intervals and differences in [0, 1], p-values, wins."""
        import pandas as pd

        lines = [_frame_row(each, name) for each in self.scores for name in self.methods if name in each.means]
        return pd.DataFrame(lines)


def _order(gathered: Mapping[str, Mapping[Score, Cells]]) -> list[Score]:
    """Every score once, in the order of the rows; the trained task's own before other tasks'."""
    every = dict.fromkeys(score for of in gathered.values() for score in of)
    own = [score for score in every if not score.where]
    return own + [score for score in every if score.where]


def _summarize(
    score: Score, cells: Mapping[str, Cells], reference: str, without: tuple[str, ...],
    gathered: Mapping[str, Mapping[Score, Cells]],
) -> list[ScoreSummary]:  # fmt: skip
    """The score's summary; behind that of the tasks' harmonic means, that of the means."""
    block = Block.of(cells.values()).without(without)
    if not block.size:
        return []
    tables = {name: block.table(each) for name, each in cells.items()}
    if score.part != HM:
        return [ScoreSummary.of(score, block, tables, reference)]
    own = ScoreSummary.of(score._replace(part=OF_HM), block, tables, reference)
    base, novel = score._replace(part="base"), score._replace(part="novel")
    if not all(base in gathered[name] and novel in gathered[name] for name in cells):
        return [own]
    joint = {
        name: join_halves(block.table(gathered[name][base]), block.table(gathered[name][novel])) for name in cells
    }
    return [own, ScoreSummary.of(score._replace(part=OF_MEANS), block, joint, reference)]


def _say_lacking(score: Score, cells: Mapping[str, Cells]) -> list[str]:
    """A line where not every method has every cell that one of them has."""
    every = set().union(*cells.values())
    tasks, seeds = ({at[number] for at in every} for number in (0, 1))
    fewest = min(cells, key=lambda name: (len(cells[name]), name))
    if len(cells[fewest]) == len(tasks) * len(seeds):
        return []
    block = Block.of(cells.values())
    return [
        f"not all cells are done: {score.protocol} is over the {len(block.tasks)} of {len(tasks)} tasks and "
        f"{len(block.seeds)} of {len(seeds)} seeds that all methods have; {fewest} has {len(cells[fewest])} cells"
    ]


def _main(scores: Sequence[ScoreSummary]) -> ScoreSummary:
    """The last of the first protocol's own parts."""
    own = [each for each in scores if each.score.protocol == scores[0].score.protocol and not each.score.where]
    return (own or list(scores))[-1]


def _rank(scores: Sequence[ScoreSummary]) -> tuple[str, ...]:
    names = dict.fromkeys(name for each in scores for name in each.means)
    means = _main(scores).means
    return tuple(sorted(names, key=lambda name: (-means[name].mean if name in means else np.inf, name)))


def _frame_row(summary: ScoreSummary, name: str) -> dict[str, object]:
    mean, gap = summary.means[name], summary.differences.get(name)
    row: dict[str, object] = {"method": name, **summary.score._asdict()}
    row |= {"tasks": len(summary.block.tasks), "seeds": len(summary.block.seeds)}
    row |= {"mean": mean.mean, "half_interval": mean.half}
    row |= {"difference": gap and gap.mean.mean, "difference_half_interval": gap and gap.mean.half}
    row |= {"p_value": gap and gap.mean.p_value, "p_holm": gap and gap.adjusted}
    return row | {"wins": gap and gap.wins, "ties": gap and gap.ties, "losses": gap and gap.losses}
