"""Figures of a comparison: ranks and their critical difference, accuracy against trained numbers, base and novel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from headroles.adapt.comparison.comparison import Comparison
from headroles.adapt.comparison.entries import FROZEN
from headroles.adapt.comparison.ranks import FEW, Ranks
from headroles.adapt.comparison.summary import OF_MEANS, ScoreSummary, Summary
from headroles.errors import InputError
from headroles.figures.names import name_points
from headroles.figures.page import head
from headroles.figures.style import COLORS, GREY, INK, Drawing, figure_of, figure_style
from headroles.shown import show_p

_LINE = 0.19
"""Inches of a line of text."""


def ranks_figure(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """Mean ranks over tasks; a bar joins methods that Nemenyi's test does not tell apart (Demsar, JMLR 7, 2006).

    Ranks are by the main score (of base-to-novel each task's harmonic mean), the mean over seeds. With `ax` drawn into
    that. InputError for fewer than three methods or two tasks.
    """
    found = _by_task(comparison.summary())
    ranks = Ranks.of(list(found.tables), np.array([table.mean(1) for table in found.tables.values()]))
    rows = (len(ranks.methods) + 1) // 2
    with figure_style():
        size = (7.2, 1.2 + _LINE * (rows + len(ranks.alike)))
        axes = _axes(size, *_say_ranks(found, ranks)) if ax is None else ax
        _draw_scale(axes, ranks)
        _draw_names(axes, ranks)
        if ax is not None:
            axes.set_title("\n".join(_say_ranks(found, ranks)), loc="left")
    return figure_of(axes)


def _by_task(summary: Summary) -> ScoreSummary:
    """The main score, whose cells are one task's own: in place of the harmonic mean of means the tasks' own."""
    main = summary.main
    if main.score.part != OF_MEANS:
        return main
    return summary.scores[summary.scores.index(main) - 1]


def _axes(size: tuple[float, float], heading: str, facts: str) -> Axes:
    """The one axes of a new figure."""
    figure = Drawing(figsize=size, layout="constrained")
    head(figure, heading, facts)
    return figure.subplots()


def _say_ranks(found: ScoreSummary, ranks: Ranks) -> tuple[str, str]:
    few = f"; rough, as {ranks.tasks} tasks are few" if ranks.tasks <= FEW else ""
    test = f"Friedman p {show_p(ranks.p_value)}{few}; critical difference {ranks.critical:.2f} (Nemenyi, 5%)"
    return (
        f"Mean ranks of {len(ranks.methods)} methods over {ranks.tasks} tasks",
        f"{found.score.protocol}, {found.score.title}; {test}",
    )


def _draw_scale(axes: Axes, ranks: Ranks) -> None:
    """The line of ranks, 1 at the right, the critical difference above it, and bars below."""
    count, bars = len(ranks.methods), len(ranks.alike)
    axes.hlines(0, 1, count, color=INK, lw=1)
    for rank in range(1, count + 1):
        axes.vlines(rank, 0, 0.3, color=INK, lw=1)
        axes.text(rank, 0.4, str(rank), ha="center", va="bottom")
    axes.plot([count - ranks.critical, count], [1.6, 1.6], color=COLORS[1], lw=2)
    axes.text(count, 1.7, "critical difference", ha="left", va="bottom", color=COLORS[1])
    for number, (first, last) in enumerate(ranks.alike, 1):
        ends = ranks.mean_ranks[first] - 0.04, ranks.mean_ranks[last] + 0.04
        axes.plot(ends, [-0.55 * number] * 2, color=INK, lw=2.5, solid_capstyle="butt")
    wide = 0.35 * (count - 1)
    axes.set(xlim=(count + wide, 1 - wide), ylim=(-0.55 * bars - 0.5 - (count + 1) // 2, 2.6))
    axes.set_axis_off()


def _draw_names(axes: Axes, ranks: Ranks) -> None:
    """Names at both ends, each with a line to its rank."""
    count, depth = len(ranks.methods), 0.55 * len(ranks.alike) + 0.5
    left = 1 - 0.08 * (count - 1), count + 0.08 * (count - 1)
    for place, (name, rank) in enumerate(zip(ranks.methods, ranks.mean_ranks, strict=True)):
        best = place < (count + 1) // 2
        row = place if best else count - 1 - place
        end, y = left[0 if best else 1], -depth - row
        axes.plot([rank, rank, end], [0, y, y], color=GREY, lw=0.7)
        axes.text(end, y, f" {name} {rank:.2f} ", ha="left" if best else "right", va="center")


def pareto_figure(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """The main score against the numbers that are trained; a line joins the methods that none beats with as few.

    Methods that train nothing stand at the left. With `ax` drawn into that.
    """
    summary, facts = comparison.summary(), comparison.facts()
    main = summary.main
    names = [name for name in summary.methods if name in main.means]
    counts = [facts[name].trained if name in facts else 0.0 for name in names]
    least = min([count for count in counts if count] or [10.0]) / 10
    points = [(max(count, least), 100 * main.means[name].mean) for name, count in zip(names, counts, strict=True)]
    with figure_style():
        heading = "What methods reach by what they train"
        axes = _axes((6.6, 4.0), heading, _say_over(main)) if ax is None else ax
        axes.plot(*zip(*_front(points), strict=True), color=COLORS[1], lw=1)
        axes.scatter(*zip(*points, strict=True), alpha=0)  # so that the limits are those of all
        axes.set(xscale="log", xlabel="trained numbers (none: at the left end)", ylabel=_label(main))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.margins(0.12)
        sns.despine(ax=axes)
        _draw_points(axes, names, points)
    return figure_of(axes)


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other with as few trained numbers exceeds, from few to many."""
    front: list[tuple[float, float]] = []
    for trained, mean in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or mean > front[-1][1]:
            front.append((trained, mean))
    return front


def halves_figure(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """Accuracy on base classes against that on novel ones, with lines of equal harmonic mean.

    With `ax` drawn into that. InputError where no protocol has both halves.
    """
    summary = comparison.summary()
    parts = {each.score.part: each for each in summary.scores if each.score.part in ("base", "novel")}
    if len(parts) < 2:
        raise InputError("kind: halves need base and novel classes; compare with protocol base-to-novel")
    base, novel = parts["base"].means, parts["novel"].means
    names = [name for name in summary.methods if name in base and name in novel]
    points = [(100 * base[name].mean, 100 * novel[name].mean) for name in names]
    with figure_style():
        facts = f"{_say_over(parts['base'])}; lines: equal harmonic mean"
        axes = _axes((5.6, 4.4), "Base classes and novel ones", facts) if ax is None else ax
        _fit(axes, points)
        _draw_means(axes)
        axes.set(xlabel="base classes, %", ylabel="novel classes, %")
        if ax is not None:
            axes.set_title(facts, loc="left")
        sns.despine(ax=axes)
        _draw_points(axes, names, points)
    return figure_of(axes)


def _fit(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True)
    for values, put in ((xs, axes.set_xlim), (ys, axes.set_ylim)):
        room = max(1.0, 0.12 * (max(values) - min(values)))
        put(min(values) - room, max(values) + 2 * room)


def _draw_means(axes: Axes) -> None:
    """Contours of the harmonic mean."""
    xs, ys = (np.linspace(*limits, 80) for limits in (axes.get_xlim(), axes.get_ylim()))
    grid = 2 * xs[None] * ys[:, None] / np.maximum(xs[None] + ys[:, None], 1e-9)
    lines = axes.contour(xs, ys, grid, levels=6, colors=GREY, linewidths=0.5)
    axes.clabel(lines, fmt="%g", fontsize=6)


def _draw_points(axes: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """A dot a method, and its name beside it; all else of the axes is there by now."""
    for name, point in zip(names, points, strict=True):
        axes.plot(*point, "o", ms=4, color=GREY if name == FROZEN else COLORS[0])
    name_points(axes, dict(zip(names, points, strict=True)), points, size=7)


def _label(found: ScoreSummary) -> str:
    return f"{found.score.protocol}, {found.score.title}, % ({_say_over(found)})"


def _say_over(found: ScoreSummary) -> str:
    return f"{len(found.block.tasks)} tasks x {len(found.block.seeds)} seeds"
