"""Code that the docs and notebooks show, with smaller numbers: the same calls in a fraction of the time."""

from __future__ import annotations

import re

_SMALLER = {
    r"\bcount=\d{3}\b": "count=100",
    r"\bbootstraps=\d+": "bootstraps=20",
    r"\bnull_draws=\d+": "null_draws=40",
    r"\bdraws=\d+": "draws=20",
    r"\bresamples=\d+": "resamples=20",
    r"\bscenes=300\b": "scenes=60",
    r"\brange\(300\)": "range(100)",
    r"(\bscore\((?:(?!by=|null_draws|\*\*)[^()]|\([^()]*\))*)\)": r"\1, null_draws=40)",
    r"\balphas=\([\d., ]+\)": "alphas=(0, 0.5, 1)",
    r"\bepochs=6\b": "epochs=2",
    r'"epochs": 6\b': '"epochs": 2',
    r'\("shapes:color", "shapes:texture", "shapes:count"\)': '("shapes:brightness",)',
    r"^%matplotlib inline$": "%matplotlib inline\nfrom headroles.shapes.tasks import POOL; POOL['test'] = 10",
}
"""What is shown -> what runs in tests."""


def small_form(source: str) -> str:
    """Python source with fewer images, draws and epochs."""
    for shown, run in _SMALLER.items():
        source = re.sub(shown, run, source, flags=re.MULTILINE)
    return source
