"""The figures of a RoleMap as files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.concepts import concepts_figure
from headroles.figures.entropy import entropy_figure
from headroles.figures.files import write_kinds
from headroles.figures.texts import texts_figure
from headroles.roles.role_map import RoleMap


def plot_role_map(
    role_map: RoleMap, kind: str, path: str | os.PathLike[str], heads: Sequence[str] | None = None
) -> list[Path]:
    """Write the figure of `kind` to `path` (.png, .svg or .pdf) and return the files written.

    `kind` is "entropy", "concepts", "texts", or "all" for one file each, with the kind before the suffix
    (roles.png -> roles-entropy.png, ...). `heads` chooses the heads of "texts". The same map gives the same bytes;
    an existing file is replaced in one step; missing folders are made. Any other kind or suffix, heads that were
    not scored, and heads for a figure that shows all of them raise `InputError`.
    """
    if heads is not None and kind in ("entropy", "concepts"):
        raise InputError(f"heads can be chosen for texts only, got kind {kind!r}, which shows every head")
    draw: dict[str, Callable[[RoleMap], Figure]] = {
        "entropy": entropy_figure,
        "concepts": concepts_figure,
        "texts": lambda of: texts_figure(of, heads),
    }
    return write_kinds(draw, role_map, kind, path)
