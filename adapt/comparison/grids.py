"""What tuning searches: a small grid a method, as many trials for every one, its preset first.

Rates are multiples of the method's published one; the first trial is its preset as it is, also where that follows the
data. Where a method has nothing that matters as much, its rate is tried further and in finer steps. Which settings, and
which values, is ours: papers search by hand. Rates go up alone, as few steps want larger ones than papers take.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from headroles.adapt.comparison.entries import Entry
from headroles.adapt.config import TrainConfig
from headroles.errors import InputError

RATE = "lr"
TRIALS = 6
"""Of every method that has anything to tune."""
_RATES: Mapping[str, Sequence[Any]] = {RATE: (1, 3, 10, 30, 100, 300)}
"""Where nothing else is tried."""
_FEW = (1, 10, 30)
"""Rates where another setting is tried with each."""
GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "dear": {RATE: _FEW, "lambda_image": (0.5, 5.0)},
    "zero-shot": {},
    "maple": {RATE: _FEW, "context": (2, 4)},
    "promptsrc": {RATE: _FEW, "lambda_text": (25.0, 5.0)},
    "mmrl": {RATE: _FEW, "regularization": (1.0, 0.2)},
    "mmrlpp": {RATE: _FEW, "regularization": (1.0, 0.2)},
    "tac": {RATE: _FEW, "lambda_text": (20.0, 5.0)},
    "fine-tuning": {RATE: _FEW, "tuned": (1.0, 0.5)},
    "clip-cite": {RATE: _FEW, "alpha": (0.5, 0.75)},
    "clip-lora": {RATE: _FEW, "rank": (2, 8)},
    "head-purification": {RATE: _FEW, "mmd": (1.0, 0.1)},
    "linear-probe": {RATE: _FEW, "begin": ("zero", "texts")},
    "tip-adapter": {"views": (10, 0), "alpha_end": (3.0, 10.0, 30.0)},  # It searches alpha and beta by itself.
    "tip-adapter-f": {RATE: _FEW, "alpha": (1.0, 3.0)},
    "talo": {"units": ("layers", "heads", "both"), "measure": ("accuracy", "margin")},
    "ltv": {RATE: _FEW, "side": ("images", "texts")},
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
