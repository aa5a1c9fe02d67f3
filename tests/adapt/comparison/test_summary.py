"""Summaries: cells that all methods have, both harmonic means, with and without EuroSAT; tables and figures of them."""

import csv
import io

import pytest

from headroles.adapt import Comparison
from headroles.adapt.comparison.rows import Block, ComparedRow
from headroles.adapt.comparison.table import FORMATS
from headroles.adapt.metrics import harmonic_mean
from headroles.errors import InputError
from headroles.figures.files import save_plots

HALVES = {"shapes:a": (0.5, 0.5), "eurosat": (0.9, 0.1)}


def rows_of(method, gain, tasks=tuple(HALVES), seeds=(1, 2)):
    """A method that is better on base classes and worse on novel ones, a little more with each seed."""
    for task in tasks:
        for seed in seeds:
            base, novel = HALVES[task]
            found = (base + gain + 0.01 * seed, novel - gain / 2)
            parts = zip(("base", "novel"), HALVES[task], found, strict=True)
            for part, zero, adapted in (*parts, ("hm", harmonic_mean(base, novel), harmonic_mean(*found))):
                yield ComparedRow(method, task, seed, "base-to-novel", task, part, 50, zero, adapted, 10)
            yield ComparedRow(method, task, seed, "retention", "mean", "all", 50, 1.0, 1 - gain, 10)


@pytest.fixture(scope="module")
def comparison():
    return Comparison("0" * 64, 16, (*rows_of("bold", 0.08), *rows_of("shy", 0.02)))


def test_both_harmonic_means_and_other_tasks_have_their_columns(comparison):
    found = comparison.summary()
    assert [each.score.title for each in found.scores] == [
        "base", "novel", "mean of hm", "hm of means", "all, other tasks",
    ]  # fmt: skip
    means = {each.score.part: {name: mean.mean for name, mean in each.means.items()} for each in found.scores}
    assert means["base"]["zero-shot"] == pytest.approx(0.7) and means["base"]["bold"] == pytest.approx(0.795)
    assert means["mean of hm"]["zero-shot"] == pytest.approx((0.5 + harmonic_mean(0.9, 0.1)) / 2)
    assert means["hm of means"]["zero-shot"] == pytest.approx(harmonic_mean(0.7, 0.3))
    assert means["all"] == pytest.approx({"zero-shot": 1, "bold": 0.92, "shy": 0.98})


def test_differences_are_paired_with_the_reference(comparison):
    gap = comparison.summary(reference="shy").scores[0].differences["bold"]
    assert gap.mean.mean == pytest.approx(0.06) and gap.mean.half == pytest.approx(0, abs=1e-9)
    assert (gap.wins, gap.ties, gap.losses) == (2, 0, 0)
    with pytest.raises(InputError, match="reference must be one of bold, shy, zero-shot, got 'bald'"):
        comparison.summary("bald")


def test_means_are_over_cells_that_all_have():
    less = Comparison("0" * 64, 16, (*rows_of("bold", 0.08), *rows_of("shy", 0.02, ("eurosat",), (2,))))
    found = less.summary()
    assert (found.main.block.tasks, found.main.block.seeds) == (("eurosat",), (2,))
    assert "over the 1 of 2 tasks and 1 of 2 seeds that all methods have; shy has 1 cells" in found.notes[0]
    assert Block.of([{("a", 1): 0, ("a", 2): 0, ("b", 1): 0}]) == Block(("a",), (1, 2))
    assert Block.of([{("a", 1): 0}, {("b", 1): 0}]).size == 0


@pytest.mark.parametrize("form", FORMATS)
def test_tables_have_every_method_with_and_without_eurosat(comparison, form):
    text = comparison.to_table(form)
    assert all(name in text for name in ("bold", "shy", "zero-shot", "hm of means", "without"))
    if form == "csv":
        rows = [row for row in csv.DictReader(io.StringIO(text)) if row["part"] == "base" and not row["without"]]
        assert {row["method"]: float(row["mean"]) for row in rows} == pytest.approx(
            {"bold": 0.795, "shy": 0.735, "zero-shot": 0.7}
        )
        assert {row["shots"] for row in rows} == {"16"} == {f"{each}" for each in comparison.to_frame()["shots"]}
    if form == "text":
        assert "minus zero-shot, 1 task x 2 seeds without eurosat" in text and "Holm" in text


def test_figures_are_drawn_for_what_is_there(comparison, tmp_path):
    assert comparison.kinds == ("ranks", "pareto", "halves")
    assert all(path.stat().st_size > 1000 for path in save_plots(comparison, "all", tmp_path / "c.svg"))
    few = Comparison("0" * 64, 16, tuple(row for row in comparison.rows if row.protocol == "retention"))
    assert few.kinds == ("ranks", "pareto")
    with pytest.raises(InputError, match="halves need base and novel classes"):
        few.plot("halves")


@pytest.mark.parametrize(
    ("tasks", "seeds", "words"),
    [
        *((1, 1, "neither interval nor p"), (1, 3, "± and p are for other seeds of it alone")),
        *((3, 1, "one seed says nothing of others"), (2, 2, "2 tasks say little of")),
    ],
)
def test_what_intervals_are_said_to_speak_of_is_what_the_grid_can_know(tasks, seeds, words):
    rows = tuple(
        ComparedRow(name, f"t{task}", seed, "few-shot", f"t{task}", "all", 8, 0.5, 0.5 + 0.01 * task + 0.02 * seed, 9)
        for name in ("coop", "dear") for task in range(tasks) for seed in range(seeds)
    )  # fmt: skip
    assert words in Comparison(64 * "a", 4, rows, ()).to_table(reference="coop")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        *(("text", "50.0 ± > 100"), ("markdown", "50.0 ± > 100")),
        *(("latex", r"50.0 $\pm$ $>$ 100"), ("html", "50.0 ± &gt; 100")),
    ],
)
def test_of_an_interval_wider_than_all_percents_no_tenths_are_told(form, words):
    rows = tuple(
        ComparedRow("coop", f"t{task}", 1, "few-shot", f"t{task}", "all", 8, 0.5, float(task), 9) for task in range(2)
    )
    assert words in Comparison(64 * "a", 4, rows, ()).to_table(form)
