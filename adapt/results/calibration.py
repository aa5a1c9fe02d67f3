"""Calibration: whether an adapted CLIP is right as often as its probabilities say; expected calibration error (ECE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from headroles.adapt.results.tested import TestedImage, group_parts

if TYPE_CHECKING:
    import pandas as pd

BINS = 15
"""Bins of equal width, as most papers take since Guo et al. (arXiv 1706.04599)."""
COLUMNS = ("protocol", "task", "part", "from", "to", "images", "probability", "accuracy", "gap")


def calibration_error(probabilities: ndarray, right: ndarray) -> float:
    """ECE: mean over images of the distance, within their bin, of accuracy and mean probability; 0 of no image.

    `probabilities` of the likeliest class, in (0, 1]; `right` says whether it is the image's own.
    """
    bins = _bin_rows(probabilities, right)
    total = sum(row[2] for row in bins)
    return sum(row[2] * abs(row[5]) for row in bins) / total if total else 0.0


def calibration_frame(tested: Sequence[TestedImage]) -> pd.DataFrame:
    """One row a part and bin with images, `gap` being accuracy less probability; then one from 0 to 1 with the ECE."""
    import pandas as pd

    rows = []
    for place, group in group_parts(tested):
        probabilities = np.array([each.probability for each in group])
        right = np.array([each.adapted == each.label for each in group])
        rows += [(*place, *row) for row in _bin_rows(probabilities, right)]
        means = float(probabilities.mean()), float(right.mean())
        rows.append((*place, 0.0, 1.0, len(group), *means, calibration_error(probabilities, right)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _bin_rows(probabilities: ndarray, right: ndarray) -> list[tuple[float, float, int, float, float, float]]:
    """From, to, images, mean probability, accuracy and their difference, of every bin (from, to] that has images."""
    bins = np.clip(np.ceil(probabilities * BINS).astype(int) - 1, 0, BINS - 1)
    rows = []
    for number in np.unique(bins).tolist():
        inside = bins == number
        said, found = float(probabilities[inside].mean()), float(right[inside].mean())
        rows.append((number / BINS, (number + 1) / BINS, int(inside.sum()), said, found, found - said))
    return rows
