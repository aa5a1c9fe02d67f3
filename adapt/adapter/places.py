"""Where an adapter's files lie. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from headroles.errors import InputError

CONFIG = "adapter_config.json"


def find_config(folder: Path) -> Path:
    """The adapter_config.json of an adapter's folder; InputError where there is none, with those below it."""
    path = folder / CONFIG
    if not path.is_file():
        several = find_below(folder)
        hint = f"it holds one a seed, such as {several[0]}" if several else "make one: headroles adapt"
        raise InputError(f"adapter: {folder} is no adapter folder (no {CONFIG}); {hint}")
    return path


def find_below(folder: Path) -> list[Path]:
    """The adapters' folders below that of a job with several, sorted."""
    return sorted(path.parent for depth in ("*-*", "*-*/*-*") for path in folder.glob(f"{depth}/{CONFIG}"))
