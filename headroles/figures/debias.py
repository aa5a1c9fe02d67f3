"""A figure of a Debiased: every group's accuracy before and after, the worst marked, and what other heads gain."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.figures.page import head
from headroles.figures.style import GREY, INK, Drawing, figure_of, figure_style, now
from headroles.uses.debiased import Debiased


def groups_figure(found: Debiased, ax: Axes | None = None) -> Figure:
    """One line a group, from before (open) to after (filled); a band where matched random heads bring the worst group.

    `ax`: the axes to draw into; None: a figure of its own.
    """
    names = sorted(found.before.groups, key=lambda name: -found.before.groups[name])
    places = np.arange(len(names))
    before, after = (np.array([100 * each.groups[name] for name in names]) for each in (found.before, found.after))
    with figure_style():
        size = (5.6, 1.2 + 0.32 * len(names))
        about = f"{found.task}: {found.heads}, {found.effect} effect"
        if ax is None:
            figure = Drawing(figsize=size, layout="constrained")
            head(figure, "Right answers of every group, before and after", about)
            axes = figure.subplots()
        else:
            axes = ax
            axes.set_title(about, loc="left")
        low, high = (100 * (found.before.worst + end) for end in found.random.interval)
        axes.axvspan(low, high, color=GREY, alpha=0.25, linewidth=0, label="worst group, other heads (95%)")
        axes.hlines(places, before, after, color=INK, linewidth=1)
        axes.scatter(before, places, s=36, facecolor="white", edgecolor=INK, zorder=3, label="before")
        axes.scatter(after, places, s=36, color=INK, zorder=3, label="after")
        axes.set_yticks(places, names)
        axes.set(xlabel="accuracy (%)", xlim=(min(0.0, low), 102), ylim=(-0.6, len(names) - 0.4))
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.28), ncols=3 if now().headed else 1)
        sns.despine(ax=axes)
    return figure_of(axes)
