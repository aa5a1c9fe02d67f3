"""Names beside points, moved apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adjustText import adjust_text
from matplotlib.axes import Axes

from headroles.figures.style import GREY, figure_of


def name_points(
    axes: Axes, named: Mapping[str, tuple[float, float]], points: Sequence[tuple[float, float]], size: float = 6
) -> None:
    """Write each name near its point, off other names and off all `points`; a thin line leads to what had to move far.

    Data coordinates. Call it last: limits, labels and legend have to be there.
    """
    if not named:
        return
    texts = [axes.text(*at, name, size=size, color=GREY) for name, at in named.items()]
    figure_of(axes).draw_without_rendering()  # so that the layout, and with it every place, is final
    line = {"arrowstyle": "-", "color": GREY, "lw": 0.4}
    xs, ys = zip(*points, strict=True)
    adjust_text(texts, list(xs), list(ys), ax=axes, expand=(1.3, 1.6), iter_lim=200, arrowprops=line)
