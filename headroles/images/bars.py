"""How a call from Python draws a bar: in a terminal or a notebook, never in a file or a pipe."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

OFF = "TQDM_DISABLE"
"""Variable that, set to 1, turns all bars off."""


def draw_bar(label: str, total: int | None, unit: str) -> Any:
    """Gone when it is closed; None as `disable` is tqdm's word for "unless this is a terminal"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of notebooks without widgets, where the bar is text
        from tqdm.auto import tqdm
    off = True if int(os.environ.get("RANK", "0")) > 0 or os.environ.get(OFF, "0") not in ("", "0") else None
    if off is None and _in_notebook():
        off = False
    return tqdm(desc=label, total=total, unit=unit, disable=off, leave=False)


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    shell = sys.modules.get("IPython")
    return shell is not None and "IPKernelApp" in getattr(shell.get_ipython(), "config", ())
