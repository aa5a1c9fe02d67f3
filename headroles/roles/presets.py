"""Presets: the published definitions of a paper, all switches at once, each by name so that no default decides.

What a paper leaves open stays an option: of both the number of texts a head (TextSpan's examples have 20; DeAR names
no number), of DeAR the bounds of roles. The docs' page of the method has a table of where our defaults differ and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headroles.errors import InputError

_TEXTSPAN: Mapping[str, Any] = {"selection": "std", "center_texts": False, "constants": "heads", "rank": 80}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "textspan": _TEXTSPAN,
    "dear": {**_TEXTSPAN, "layers": "deep", "weights": "count", "prior_correction": False, "concepts": "discover"},
}
"""Name -> settings of `headroles.score`: TextSpan (arXiv 2310.05916, its code), and DeAR (arXiv 2603.01111) on top."""


def apply_preset(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a preset; `given` are those asked for beside it, where one of another value is an InputError."""
    if preset not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    for name, value in PRESETS[preset].items():
        if given.get(name, value) != value:
            raise InputError(f"{name}: {preset} sets it to {value}, got {given[name]}; leave one of the two out")
    return dict(PRESETS[preset])
