"""Fonts for what the figures' own font has no glyphs for: the first installed one of every script."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.font_manager import fontManager

from headroles.images.notes import LOG

FONT = "DejaVu Sans"
"""Ships with matplotlib, so layout and bytes are the same on every machine."""
FALLBACKS = (
    ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei",
     "PingFang SC", "Hiragino Sans", "Yu Gothic", "Malgun Gothic", "Droid Sans Fallback", "Arial Unicode MS",
     "Unifont"),
    ("Noto Sans Devanagari", "Lohit Devanagari", "Nirmala UI", "Kohinoor Devanagari"),
    ("Noto Sans Thai", "Loma", "Leelawadee UI", "Thonburi"),
)  # fmt: skip
"""Families by script; of each, the first that is installed is asked after `FONT`."""
_MISSING = re.compile(r"Glyph (\d+) .*missing from font")


@cache
def font_families() -> tuple[str, ...]:
    """`FONT`, and what is asked for a glyph that it lacks."""
    installed = set(fontManager.get_font_names())
    found = (next((name for name in names if name in installed), None) for names in FALLBACKS)
    return (FONT, *(name for name in found if name))


@contextmanager
def telling_missing() -> Iterator[None]:
    """Where characters have no glyph, one line that says what to install, in place of a warning a character."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing: dict[str, None] = {}
    for warning in caught:
        glyph = _MISSING.search(str(warning.message))
        if glyph:
            missing[chr(int(glyph[1]))] = None
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if missing:
        LOG.warning(
            "figure: no installed font has %d of its characters, such as %s; install a font of that script, for "
            "Chinese, Japanese and Korean Noto Sans CJK", len(missing), "".join([*missing][:5]),
        )  # fmt: skip
