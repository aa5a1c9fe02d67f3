"""Calibration error by hand."""

import numpy as np
import pytest

from headroles.adapt.results.calibration import calibration_error, calibration_frame
from headroles.adapt.results.tested import TestedImage


def image(probability, right):
    return TestedImage("few-shot", "t", "all", "x.png", "cat", "cat", "cat" if right else "dog", probability, 1.0)


def test_the_error_by_hand():
    tested = [image(0.95, True), image(0.97, True), image(0.99, False), image(0.40, True), image(0.39, False)]
    frame = calibration_frame(tested)
    assert frame["images"].tolist() == [2, 3, 5] and frame["accuracy"].tolist() == pytest.approx([0.5, 2 / 3, 0.6])
    assert frame["probability"].tolist() == pytest.approx([0.395, 0.97, 3.70 / 5])
    expected = (2 * abs(0.5 - 0.395) + 3 * abs(2 / 3 - 0.97)) / 5
    assert frame["gap"].iloc[-1] == pytest.approx(expected)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    sure = np.ones(4)
    assert calibration_error(sure, sure > 0) == 0 and calibration_error(sure, sure < 0) == 1
    half = np.full(4, 0.5)
    assert calibration_error(half, np.array([True, False, True, False])) == 0
