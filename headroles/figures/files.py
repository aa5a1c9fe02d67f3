"""Files of figures: their formats, one or several kinds of a result, the same bytes for the same figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.style import UNDATED, save_figure
from headroles.files.whole import replacing

T = TypeVar("T")
SUFFIXES = tuple(UNDATED)
"""The formats that can be written: .png, .svg, .pdf."""


def write_kinds(
    draw: Mapping[str, Callable[[T], Figure]], of: T, kind: str, path: str | os.PathLike[str], what: str = ""
) -> list[Path]:
    """Write the figure of `kind` to `path`, or, for "all", every one with its kind in the name; all are drawn first.

    Returns the files written. The same result gives the same bytes; an existing file is replaced in one step; missing
    folders are made. Raises InputError for another kind or suffix; `what` tells there what is drawn.
    """
    path = Path(path)
    if kind not in (*draw, "all"):
        raise InputError(f"kind must be one of {', '.join(draw)}, all{what}, got {kind!r}")
    check_suffix(path)
    kinds = list(draw) if kind == "all" else [kind]
    figures = [draw[each](of) for each in kinds]
    paths = name_kinds(path, kinds) if kind == "all" else [path]
    for figure, target in zip(figures, paths, strict=True):
        write_figure(figure, target)
    return paths


def name_kinds(path: Path, kinds: Iterable[str]) -> list[Path]:
    """roles.png -> roles-entropy.png, ..."""
    return [path.with_stem(f"{path.stem}-{kind}") for kind in kinds]


def check_suffix(path: Path) -> None:
    """InputError where `path` is no file that `write_figure` can write."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"figure file must end in {', '.join(SUFFIXES)}, got {path.name!r}")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in one step; the same figure gives the same bytes."""
    with replacing(path) as partial:
        save_figure(figure, partial, path.suffix.lower())
