"""What tuning searches: a small grid a method, as many trials for every one, its preset first.

Rates are multiples of the method's published one; the first trial is its preset as it is, also where that follows the
data. Where a method has nothing that matters as much, its rate is tried in finer steps. Which settings, and which
values, is ours: papers search by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from headroles.adapt.comparison.entries import Entry
from headroles.adapt.config import TrainConfig
from headroles.errors import InputError

RATE = "lr"
TRIALS = 4
"""Of every method that has anything to tune."""
_RATES: Mapping[str, Sequence[Any]] = {RATE: (1, 3, 10, 30)}
GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "dear": {RATE: (1, 10), "lambda_image": (0.5, 5.0)},
    "zero-shot": {},
    "maple": {RATE: (1, 10), "context": (2, 4)},
    "promptsrc": {RATE: (1, 10), "lambda_text": (25.0, 5.0)},
    "mmrl": {RATE: (1, 10), "regularization": (1.0, 0.2)},
    "mmrlpp": {RATE: (1, 10), "regularization": (1.0, 0.2)},
    "tac": {RATE: (1, 10), "lambda_text": (20.0, 5.0)},
    "fine-tuning": {RATE: (1, 10), "tuned": (1.0, 0.5)},
    "clip-cite": {RATE: (1, 10), "alpha": (0.5, 0.75)},
    "clip-lora": {RATE: (1, 10), "rank": (2, 8)},
    "head-purification": {RATE: (1, 10), "mmd": (1.0, 0.1)},
    "linear-probe": {RATE: (1, 10), "begin": ("zero", "texts")},
    "tip-adapter": {"views": (10, 0), "alpha_end": (3.0, 10.0)},  # It searches alpha and beta by itself.
    "tip-adapter-f": {RATE: (1, 10), "alpha": (1.0, 3.0)},
    "talo": {"units": ("layers", "heads"), "measure": ("accuracy", "margin")},
    "ltv": {RATE: (1, 10), "side": ("images", "texts")},
}
"""Method -> setting -> values, the preset's first; a method that takes steps and is not here tries its rate alone."""


def list_trials(entry: Entry) -> tuple[dict[str, Any], ...]:
    """The settings that each trial of an entry changes, the first none; no trials of a method without any to tune.

    InputError where the entry's own settings fix what would be searched.
    """
    grid = GRIDS.get(entry.method, _RATES if entry.kind.steps else {})
    fixed = sorted(grid.keys() & entry.settings.keys())
    if fixed:
        raise InputError(f"tune: {entry.name} searches {fixed[0]}, which is set; leave one of them out")
    preset = entry.kind.preset.get(RATE, TrainConfig.lr)
    tried = {name: [value * preset if name == RATE else value for value in values] for name, values in grid.items()}
    combined = itertools.product(*tried.values()) if tried else ()
    return tuple(
        {name: value for name, value in zip(tried, values, strict=True) if value != tried[name][0]}
        for values in combined
    )
