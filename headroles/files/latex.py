"""Tables for papers: what `to_frame` gives as a LaTeX table of package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, ClassVar

from headroles.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_LONG = 40
"""Rows from which a table may break across pages."""
_LONGEST = 200
"""Letters of a caption that nobody gave."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", **{each: rf"\{each}" for each in "&%$#_{}"},
}  # fmt: skip
"""Characters that mean something else to LaTeX."""


class Tabled:
    """A result with `to_frame`, which `to_latex` typesets."""

    latex_columns: ClassVar[tuple[str, ...]] = ()
    """Columns of `to_frame` that fit a page; none: all."""

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        raise NotImplementedError(f"{type(self).__name__}.to_frame")

    def to_latex(
        self, caption: str | None = None, label: str | None = None, columns: Sequence[str] | None = None
    ) -> str:
        """The table in LaTeX, with the rules of package booktabs; all texts are escaped, numbers have three digits.

        `caption`: plain text; None: what the result is. `label`: for references. `columns`: some of `to_frame`'s, in
        order; None: those that fit a page. More than 40 rows are a longtable. InputError for an unknown column.
        """
        frame = self.to_frame()
        known = list(frame.columns)
        chosen = [name for name in self.latex_columns if name in known] if columns is None else list(columns)
        for name in chosen:
            if name not in known:
                raise InputError(f"columns must be among {', '.join(map(str, known))}, got {name!r}")
        return write_latex(frame[chosen or known], _name(self) if caption is None else caption, label)


def write_latex(frame: pd.DataFrame, caption: str, label: str | None = None) -> str:
    """A table environment; of many rows a longtable."""
    rows = [[escape(_show(cell)) for cell in row] for row in frame.itertuples(index=False)]
    right = ["r" if len(frame) and frame[name].map(_is_number).all() else "l" for name in frame.columns]
    named = f"\\caption{{{escape(caption)}}}" + (f"\\label{{{label}}}" if label else "")
    heading = " & ".join(escape(str(name).replace("_", " ")) for name in frame.columns)
    body = [f"{' & '.join(row)} \\\\" for row in rows]
    if len(rows) > _LONG:
        lines = [f"\\begin{{longtable}}{{{''.join(right)}}}", f"{named} \\\\", "\\toprule", f"{heading} \\\\"]
        lines += ["\\midrule", "\\endhead", "\\bottomrule", "\\endfoot", *body, "\\end{longtable}"]
    else:
        lines = ["\\begin{table}", "\\centering", named, f"\\begin{{tabular}}{{{''.join(right)}}}", "\\toprule"]
        lines += [f"{heading} \\\\", "\\midrule", *body, "\\bottomrule", "\\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, line breaks as spaces."""
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))


def _is_number(cell: object) -> bool:
    return isinstance(cell, Real) and not isinstance(cell, bool)


def _show(cell: object) -> str:
    """A cell in words; what is not there is a dash."""
    if cell is None or cell != cell:
        return "--"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _name(result: object) -> str:
    """What a result says of itself in one line, without its class."""
    called = str(getattr(type(result), "called", type(result).__name__))
    said = re.fullmatch(r"\w+\((.*)\)", repr(result))
    if said is None or len(said[1]) > _LONGEST:
        return called.capitalize()
    return f"{called.capitalize()}: {said[1]}"
