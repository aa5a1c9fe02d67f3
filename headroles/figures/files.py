"""Files of figures: their formats, one or several kinds of a result, the same bytes for the same figure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.style import UNDATED, save_figure
from headroles.files.whole import replacing
from headroles.shown import Shown

SUFFIXES = tuple(UNDATED)
"""The formats that can be written: .png, .svg, .pdf."""


def save_plots(
    result: Shown, kind: str, path: str | os.PathLike[str], style: str | None = None, **options: Mapping[str, Any]
) -> tuple[Path, ...]:
    """Write the figure of `kind` to `path`, or, for "all", every one with its kind in the name; all are drawn first.

    `kind`: one of the result's `figures`, or "all": roles.png becomes roles-entropy.png, ... `style`: see `Shown.plot`.
    `options`: kind -> what its figure takes, such as `texts={"heads": ["L7.H3"]}`. Returns the files written. The same
    result gives the same bytes; an existing file is replaced in one step; missing folders are made. Raises InputError
    for another kind, style or suffix, and for options of a figure that is not drawn.
    """
    path = Path(path)
    check_suffix(path)
    figures = draw_plots(result, kind, style, **options)
    paths = name_plots(result, kind, path)
    for figure, target in zip(figures, paths, strict=True):
        write_figure(figure, target)
    return paths


def draw_plots(
    result: Shown, kind: str, style: str | None = None, **options: Mapping[str, Any]
) -> tuple[Figure, ...]:
    """The figures that `save_plots` writes."""
    if kind not in (*result.figures, "all"):
        raise InputError(f"kind must be one of {', '.join(result.figures)}, all, got {kind!r}")
    kinds = result.kinds if kind == "all" else (kind,)
    for other in options.keys() - set(kinds):
        raise InputError(f"{', '.join(options[other])} can be chosen for {other} only, got kind {kind!r}")
    return tuple(result.plot(each, style=style, **options.get(each, {})) for each in kinds)


def name_plots(result: Shown, kind: str, path: Path) -> tuple[Path, ...]:
    """The files that `save_plots` writes."""
    return tuple(path.with_stem(f"{path.stem}-{each}") for each in result.kinds) if kind == "all" else (path,)


def check_suffix(path: Path) -> None:
    """InputError where `path` is no file that `write_figure` can write."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"figure file must end in {', '.join(SUFFIXES)}, got {path.name!r}")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in one step; the same figure gives the same bytes."""
    with replacing(path) as partial:
        save_figure(figure, partial, path.suffix.lower())
