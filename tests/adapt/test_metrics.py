"""Rows, means, intervals and their files."""

import csv
import dataclasses
import io
import json
import math
import re

import pytest

from headroles.adapt import Evaluation
from headroles.adapt.metrics import (
    Accuracy,
    Measure,
    average_halves,
    harmonic_mean,
    interval,
    read_measures,
    summarize,
    to_csv,
    to_json,
    to_table,
    with_mean,
)

ROWS = [
    Measure(seed, "few-shot", "toy", "all", 40, 0.5, adapted, {"adapted": {"cat": adapted}})
    for seed, adapted in ((1, 0.6), (2, 0.7), (3, 0.8))
]


def test_accuracy_is_over_images_and_per_class():
    accuracy = Accuracy(("cat", "dog", "cow"), (3, 1, 0), (4, 12, 0))
    assert accuracy.mean == 4 / 16
    assert accuracy.per_class == {"cat": 0.75, "dog": 1 / 12, "cow": None}


def test_harmonic_mean():
    assert harmonic_mean(0.8, 0.8) == pytest.approx(0.8)
    assert harmonic_mean(0.6934, 0.7422) == pytest.approx(0.7170, abs=5e-5)  # CLIP's published average
    assert harmonic_mean(0.9, 0.0) == 0


def test_the_interval_is_students():
    low, high = interval([0.6, 0.7, 0.8])
    half = 4.302653 * 0.1 / math.sqrt(3)  # t of 0.975 with two degrees of freedom
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=1e-6)
    assert interval([0.6]) is None


def test_summary_keeps_tasks_apart_and_pairs_differences():
    other = Measure(1, "retention", "shapes", "all", 10, 0.9, 0.8)
    first, second = summarize([*ROWS, other])
    assert (first["seeds"], second["seeds"]) == (3, 1)
    assert first["adapted"] == pytest.approx(0.7) and first["difference"] == pytest.approx(0.2)
    assert first["zero_shot_interval"] == pytest.approx((0.5, 0.5))
    assert second["difference"] == pytest.approx(-0.1) and second["difference_interval"] is None


def test_a_mean_stands_beside_its_rows():
    rows = [Measure(1, "retention", name, "all", 10, zero, 0.5) for name, zero in (("a", 0.4), ("b", 0.8))]
    *kept, mean = with_mean(rows)
    assert kept == rows and mean.task == "mean"
    assert mean.images == 20 and mean.zero_shot == pytest.approx(0.6) and mean.difference == pytest.approx(-0.1)
    assert with_mean(rows[:1]) == rows[:1]


def test_over_tasks_both_harmonic_means_are_given_by_name():
    """Accuracies of CLIP on Caltech101 and EuroSAT as CoCoOp publishes them."""
    rows = [
        Measure(1, "base-to-novel", task, part, 100, 0.5, adapted)
        for task, pair in (("caltech", (0.9684, 0.9400)), ("eurosat", (0.5648, 0.6405)))
        for part, adapted in zip(("base", "novel", "hm"), (*pair, harmonic_mean(*pair)), strict=True)
    ]
    found = {row.part: row.adapted for row in average_halves(rows)}
    assert {row.task for row in average_halves(rows)} == {"mean"}
    assert list(found) == ["base", "novel", "mean of hm", "hm of means"]
    assert found["base"] == pytest.approx(0.7666) and found["novel"] == pytest.approx(0.79025)
    assert found["hm of means"] == pytest.approx(harmonic_mean(0.7666, 0.79025))
    assert found["mean of hm"] == pytest.approx((0.95398857 + 0.60027130) / 2, abs=1e-6)
    assert average_halves(rows[:3]) == []


def test_files_hold_every_seed():
    text = to_json(ROWS, history=[{"epoch": 1}])
    raw = json.loads(text)
    assert [row["seed"] for row in raw["rows"]] == [1, 2, 3] and raw["history"] == [{"epoch": 1}]
    assert read_measures(text) == ROWS
    table = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [(row["seed"], float(row["adapted"])) for row in table] == [("1", 0.6), ("2", 0.7), ("3", 0.8)]
    assert float(table[0]["difference"]) == pytest.approx(0.1)


def test_rows_of_one_seed_count_once():
    twice = [*ROWS, dataclasses.replace(ROWS[0], adapted=0.8)]
    (row,) = summarize(twice)
    assert row["seeds"] == 3 and row["adapted"] == pytest.approx((0.7 + 0.7 + 0.8) / 3)


def test_files_without_shots_are_read():
    raw = json.loads(to_json(ROWS))
    for row in raw["rows"]:
        del row["shots"]
    assert read_measures(json.dumps(raw)) == ROWS
    assert list(Evaluation.from_dict(raw)) == ROWS


def test_several_numbers_of_shots_are_columns():
    rows = [
        dataclasses.replace(row, shots=shots, adapted=row.adapted - 0.01 * (shots is None))
        for row in ROWS
        for shots in (4, 16, None)
    ]
    rows.append(dataclasses.replace(ROWS[0], task="other", shots=4))
    head, line, other = to_table(rows).splitlines()
    assert re.split("  +", head) == ["protocol", "task", "part", "zero-shot", "4 shots", "16 shots", "all images"]
    assert re.split("  +", line) == ["few-shot", "toy", "all", "50.0 ±0.0", *["70.0 ±24.8"] * 2, "69.0 ±24.8"]
    assert re.split("  +", other) == ["few-shot", "other", "all", "50.0", "60.0", "-", "-"]
    assert [row["seeds"] for row in summarize(rows)] == [3, 3, 3, 1]


def test_tables_show_percent_and_intervals_of_several_seeds():
    head, line = to_table(ROWS).splitlines()
    assert head.split() == ["protocol", "task", "part", "zero-shot", "adapted", "difference"]
    assert line.split() == ["few-shot", "toy", "all", "50.0", "±0.0", "70.0", "±24.8", "+20.0", "±24.8"]
    assert to_table(ROWS[:1], markdown=True).splitlines()[-1] == "| few-shot | toy | all | 50.0 | 60.0 | +10.0 |"
