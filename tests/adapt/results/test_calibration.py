"""Calibration error by hand."""

import numpy as np
import pytest

from headroles.adapt.metrics import Measure
from headroles.adapt.results.calibration import calibration_error, calibration_frame
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.tested import TestedImage
from headroles.errors import InputError


def image(probability, right):
    return TestedImage("few-shot", "t", "all", "x.png", "cat", "cat", "cat" if right else "dog", probability, 0.75)


TESTED = [image(0.95, True), image(0.97, True), image(0.99, False), image(0.40, True), image(0.39, False)]


def test_the_error_by_hand():
    whole = calibration_frame(TESTED)
    frame = whole[whole.model == "adapted"]
    assert frame["images"].tolist() == [2, 3, 5] and frame["accuracy"].tolist() == pytest.approx([0.5, 2 / 3, 0.6])
    assert frame["probability"].tolist() == pytest.approx([0.395, 0.97, 3.70 / 5])
    expected = (2 * abs(0.5 - 0.395) + 3 * abs(2 / 3 - 0.97)) / 5
    assert frame["gap"].iloc[-1] == pytest.approx(expected)
    frozen = whole[whole.model == "zero_shot"]  # Sure by 3/4 of five images that are all right.
    assert frozen["images"].tolist() == [5, 5] and frozen["gap"].tolist() == pytest.approx([0.25, 0.25])


def test_the_figure_shows_the_bins_of_both(tmp_path):
    found = Evaluation((Measure(1, "few-shot", "t", "all", 5, 1.0, 0.6),), tested=tuple(TESTED))
    upper, lower = found.plot().axes
    diagonal, frozen, adapted = upper.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 100]
    assert frozen.get_xydata().tolist() == [[75, 100]]
    assert np.allclose(adapted.get_xydata(), [[39.5, 50], [97, 200 / 3]])
    assert [bar.get_height() for bar in lower.patches] == [5, 2, 3]
    labels = [text.get_text() for text in found.plot().subfigs[0].legends[0].get_texts()]
    assert labels == ["zero-shot, ECE 25.0", f"adapted, ECE {100 * (2 * 0.105 + 3 * (0.97 - 2 / 3)) / 5:.1f}"]
    found.write(tmp_path)
    again = Evaluation.load(tmp_path)
    assert again.tested == found.tested and again.kinds == ("reliability",)
    with pytest.raises(InputError, match="reliability needs the tested images; make a folder with headroles evaluate"):
        Evaluation(found.rows).plot()


def test_a_damaged_table_of_predictions_is_named_and_an_older_one_is_passed_over(tmp_path):
    Evaluation((Measure(1, "few-shot", "t", "all", 5, 1.0, 0.6),), tested=tuple(TESTED)).write(tmp_path)
    path = tmp_path / "predictions.csv"
    text = path.read_text()
    path.write_text(text.replace("0.97", "much"))
    with pytest.raises(InputError, match=r"line 3 of .*predictions.csv cannot be read"):
        Evaluation.load(tmp_path)
    path.write_text(text.replace(",zero_shot_probability", ""))
    assert Evaluation.load(tmp_path).tested == ()


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    sure = np.ones(4)
    assert calibration_error(sure, sure > 0) == 0 and calibration_error(sure, sure < 0) == 1
    half = np.full(4, 0.5)
    assert calibration_error(half, np.array([True, False, True, False])) == 0
