"""Figure of an AverageCurve: what is learned against what is kept, a line an average."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from headroles.adapt.results.average_curve import AverageCurve
from headroles.figures.page import head
from headroles.figures.style import COLORS, Drawing, figure_style


def average_figure(curve: AverageCurve) -> Figure:
    """Accuracy on novel classes, and on other tasks where some were asked, against that on base classes, in percent.

    A line an average, a dot an alpha; "random" is the mean over its shuffles.
    """
    frame = curve.to_frame().groupby(["average", "alpha"], sort=False)[["base", "novel", "kept"]].mean() * 100
    columns = [name for name in ("novel", "kept") if frame[name].notna().all()]
    titles = {"novel": "novel classes", "kept": "other tasks"}
    with figure_style():
        figure = Drawing(figsize=(0.6 + 3.2 * len(columns), 2.7), layout="constrained")
        head(figure, "Averages of tuned and frozen weights", curve.task)
        for axes, name in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
            for color, (average, rows) in zip(COLORS, _lines(frame), strict=False):
                axes.plot(rows["base"], rows[name], color=color, marker="o", markersize=3, label=average)
            axes.set(xlabel="base classes, %", ylabel=f"{titles[name]}, %")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        sns.despine(figure)
    return figure


def _lines(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(average), frame.loc[average]) for average in dict.fromkeys(frame.index.get_level_values(0))]
