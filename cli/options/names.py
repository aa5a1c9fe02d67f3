"""Lists of names in one option, separated by commas."""

from __future__ import annotations


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas; "none" is none."""
    return () if text.strip() == "none" else tuple(name.strip() for name in text.split(",") if name.strip())
