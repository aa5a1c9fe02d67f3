"""Tested images one by one, and what follows from them: confusion matrix, precision, recall and F1 of every class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from headroles.errors import InputError, said
from headroles.files.tables import open_table

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("zero_shot", "adapted")
MACRO = "(macro mean)"
"""Name of the row of a part's unweighted means over classes."""


@dataclass(frozen=True)
class TestedImage:
    """What the frozen and the adapted CLIP see in one test image."""

    __test__ = False  # pytest takes it for a class of tests.

    protocol: str
    """As in the rows of the evaluation."""
    task: str
    """The tested task."""
    part: str
    """base, novel or all: the classes among which the image was tested."""
    image: str
    """Where the image is within the task."""
    label: str
    """Its class."""
    zero_shot: str
    """The class that the frozen CLIP finds likeliest."""
    adapted: str
    """The class that the adapted CLIP finds likeliest."""
    probability: float
    """What the adapted CLIP gives its class, in [0, 1]."""
    zero_shot_probability: float
    """What the frozen CLIP gives its class, in [0, 1]."""


def predictions_frame(tested: Sequence[TestedImage]) -> pd.DataFrame:
    """One row an image, a column a field."""
    import pandas as pd

    return pd.DataFrame([astuple(each) for each in tested], columns=[field.name for field in fields(TestedImage)])


def read_predictions(path: Path) -> tuple[TestedImage, ...]:
    """The images of a table that `predictions_frame` made; none of an older one, which says less.

    InputError where the file is damaged.
    """
    kinds = get_type_hints(TestedImage)
    with open_table(path, "evaluation", ",") as reader:
        if set(reader.fieldnames or ()) != kinds.keys():
            return ()
        try:
            return tuple(TestedImage(**{name: kinds[name](cell) for name, cell in row.items()}) for row in reader)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"evaluation: line {reader.line_num} of {path} cannot be read ({said(error)}); evaluate again"
            ) from error


def confusion_frame(tested: Sequence[TestedImage]) -> pd.DataFrame:
    """One row a label and predicted class that occurs: how many images, frozen and adapted."""
    import pandas as pd

    rows = []
    for place, group in group_parts(tested):
        counts = {model: Counter((each.label, getattr(each, model)) for each in group) for model in MODELS}
        pairs = sorted(counts["zero_shot"].keys() | counts["adapted"].keys())
        rows += [(*place, *pair, *(counts[model][pair] for model in MODELS)) for pair in pairs]
    return pd.DataFrame(rows, columns=["protocol", "task", "part", "label", "predicted", *MODELS])


def classes_frame(tested: Sequence[TestedImage]) -> pd.DataFrame:
    """One row a class and model: images, precision, recall and F1, in [0, 1]; then their unweighted means.

    Precision of a class that is never predicted, and F1 of one that is never right, are 0.
    """
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for place, group in group_parts(tested):
        for model in MODELS:
            scores = [_score(group, model, name) for name in sorted({each.label for each in group})]
            rows += [(*place, model, *score) for score in scores]
            means = np.mean([score[2:] for score in scores], axis=0).tolist()
            rows.append((*place, model, MACRO, len(group), *means))
    return pd.DataFrame(
        rows, columns=["protocol", "task", "part", "model", "class", "images", "precision", "recall", "f1"]
    )


def _score(group: Sequence[TestedImage], model: str, name: str) -> tuple[str, int, float, float, float]:
    guessed = [each.label for each in group if getattr(each, model) == name]
    total, right = sum(each.label == name for each in group), guessed.count(name)
    precision, recall = (right / count if count else 0.0 for count in (len(guessed), total))
    return name, total, precision, recall, 2 * right / (len(guessed) + total)


def group_parts(tested: Sequence[TestedImage]) -> Iterator[tuple[tuple[str, str, str], list[TestedImage]]]:
    """Protocol, task and part, and the images that were tested there."""
    groups: dict[tuple[str, str, str], list[TestedImage]] = {}
    for each in tested:
        groups.setdefault((each.protocol, each.task, each.part), []).append(each)
    yield from groups.items()
