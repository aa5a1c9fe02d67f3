"""Calibration: whether a CLIP is right as often as its probabilities say; expected calibration error (ECE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from headroles.adapt.results.tested import MODELS, TestedImage, group_parts

if TYPE_CHECKING:
    import pandas as pd

BINS = 15
"""Bins of equal width, as most papers take since Guo et al. (arXiv 1706.04599)."""
COLUMNS = ("protocol", "task", "part", "model", "from", "to", "images", "probability", "accuracy", "gap")


def calibration_error(probabilities: ndarray, right: ndarray) -> float:
    """ECE: mean over images of the distance, within their bin, of accuracy and mean probability; 0 of no image.

    `probabilities` of the likeliest class, in (0, 1]; `right` says whether it is the image's own.
    """
    bins = fill_bins(probabilities, right)
    total = sum(each.images for each in bins)
    return sum(each.images * abs(each.gap) for each in bins) / total if total else 0.0


@dataclass(frozen=True)
class Bin:
    """The images whose probability lies in one of the bins."""

    start: float
    """Probabilities above this are in it."""
    end: float
    """Up to this one."""
    images: int
    """How many they are."""
    probability: float
    """Their mean probability."""
    accuracy: float
    """Share of them whose likeliest class is their own."""

    @property
    def gap(self) -> float:
        """Accuracy less probability: below 0 where the CLIP is too sure."""
        return self.accuracy - self.probability


def calibration_frame(tested: Sequence[TestedImage]) -> pd.DataFrame:
    """One row a part, model and bin with images, `gap` being accuracy less probability; then one of the ECE, 0 to 1."""
    import pandas as pd

    rows = []
    for place, group in group_parts(tested):
        for model in MODELS:
            said = judge(group, model)
            rows += [(*place, model, *astuple(each), each.gap) for each in fill_bins(*said)]
            means = (float(each.mean()) for each in said)
            rows.append((*place, model, 0.0, 1.0, len(group), *means, calibration_error(*said)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def judge(tested: Sequence[TestedImage], model: str) -> tuple[ndarray, ndarray]:
    """What one of `MODELS` gives every image's likeliest class, in (0, 1], and whether that is the image's own."""
    name = "probability" if model == "adapted" else f"{model}_probability"
    right = np.array([getattr(each, model) == each.label for each in tested])
    return np.array([getattr(each, name) for each in tested]), right


def fill_bins(probabilities: ndarray, right: ndarray) -> list[Bin]:
    """Every bin (start, end] that has images."""
    numbers = np.clip(np.ceil(probabilities * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(numbers).tolist():
        inside = numbers == number
        means = (float(each[inside].mean()) for each in (probabilities, right))
        bins.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), *means))
    return bins
