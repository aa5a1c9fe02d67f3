"""Tested images one by one agree with the accuracies; confusion and F1 follow from them."""

import pandas as pd
import pytest

from headroles.adapt import Evaluation, evaluate
from headroles.adapt.results.tested import MACRO, TestedImage, classes_frame, confusion_frame


@pytest.fixture(scope="module")
def found(adapted):
    return evaluate(adapted[0], images=True)


def test_they_add_up_to_the_rows(found):
    base, novel, _ = found
    for row in (base, novel):
        part = [each for each in found.tested if each.part == row.part]
        assert len(part) == row.images
        for model in ("zero_shot", "adapted"):
            assert sum(getattr(each, model) == each.label for each in part) / len(part) == getattr(row, model)
    assert all(each.image.startswith(f"test/{each.label}/") for each in found.tested)
    for name in ("probability", "zero_shot_probability"):
        assert all(1 / 2 <= getattr(each, name) <= 1 for each in found.tested), "of two classes the likelier"


def test_the_files_hold_them(found, tmp_path):
    paths = found.write(tmp_path / "out")
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "out").iterdir())
    again = Evaluation.load(tmp_path / "out")
    assert again == found == Evaluation.load(tmp_path / "out" / "metrics.json") and again.tested == found.tested
    predictions = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert len(predictions) == len(found.tested) == 12
    confusion = pd.read_csv(tmp_path / "out" / "confusion.csv")
    assert confusion["adapted"].sum() == confusion["zero_shot"].sum() == 12
    right = confusion[confusion.label == confusion.predicted]["adapted"].sum()
    assert right == (predictions.label == predictions.adapted).sum()


def test_f1_by_hand():
    def image(label, adapted):
        return TestedImage("few-shot", "t", "all", "x.png", label, label, adapted, 0.9, 0.8)

    tested = [image("a", "a"), image("a", "b"), image("a", "b"), image("b", "b"), image("c", "a")]
    frame = classes_frame(tested).query("model == 'adapted'").set_index("class")
    assert frame.loc["a", ["precision", "recall", "f1"]].tolist() == pytest.approx([1 / 2, 1 / 3, 2 / 5])
    assert frame.loc["b", ["precision", "recall", "f1"]].tolist() == pytest.approx([1 / 3, 1, 1 / 2])
    assert frame.loc["c", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert frame.loc[MACRO, "f1"] == pytest.approx((2 / 5 + 1 / 2) / 3)
    counts = confusion_frame(tested).set_index(["label", "predicted"])
    assert counts.loc[("a", "b"), "adapted"] == 2 and counts.loc[("c", "c"), "zero_shot"] == 1


def test_the_command_writes_them(run, adapted, tmp_path):
    adapted[0].save(tmp_path / "adapter")
    out = ("--output", tmp_path / "out")
    code, text, errors = run("evaluate", tmp_path / "adapter", "--device", "cpu", *out)
    assert code == 0 and f"wrote {tmp_path / 'out'}/metrics.json, metrics.csv, predictions.csv, confusion.csv" in text
    code, _, errors = run("evaluate", tmp_path / "adapter", *out)
    assert code == 2 and "exists already; give another --output or --overwrite" in errors
    code, _, errors = run("evaluate", tmp_path / "adapter", "--template", "a scan of {}", *out, "--overwrite")
    assert code == 0 and "note: " in errors and "the template is 'a scan of {}'" in errors
