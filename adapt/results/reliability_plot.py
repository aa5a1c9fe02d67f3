"""Figure of an evaluation: whether the frozen and the adapted CLIP are right as often as their probabilities say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.adapt.results.calibration import BINS, calibration_error, fill_bins, judge
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.tested import MODELS, TestedImage, group_parts
from headroles.errors import InputError
from headroles.figures.page import head
from headroles.figures.style import COLORS, GREY, Drawing, figure_style, now

_ACROSS, _MOST, _PART = 4, 24, (2.6, 3.4)
"""Parts in a row of the figure, and in all; inches of one."""
_COLORS = dict(zip(MODELS, (GREY, COLORS[0]), strict=True))


def reliability_figure(found: Evaluation) -> Figure:
    """Accuracy against mean probability, bin by bin, of every tested part; below it how many images each bin has.

    A dot's area is the share of images in its bin.

    On the dashed line a CLIP is right as often as it says; below it, it is too sure. The legend says the expected
    calibration error. InputError where no tested images were kept.
    """
    parts = list(group_parts(found.tested))
    if not parts:
        raise InputError("kind: reliability needs the tested images; make a folder with headroles evaluate --output")
    if len(parts) > _MOST:
        raise InputError(f"kind: reliability shows at most {_MOST} parts, got {len(parts)}; evaluate fewer tasks")
    wide, tall = _PART[0] * now().shrink, _PART[1] * now().shrink
    across = min(_ACROSS, len(parts), int(now().most / wide))
    down = math.ceil(len(parts) / across)
    with figure_style():
        figure = Drawing(figsize=(0.6 + wide * across, tall * down), layout="constrained", fits=False)
        head(figure, "Right answers against stated probability", "dashed: right as often as said; below it: too sure")
        cells = figure.subfigures(down, across, squeeze=False).ravel()
        for cell, (place, tested) in zip(cells, parts, strict=False):
            upper, lower = cell.subplots(2, 1, sharex=True, height_ratios=(3, 1))
            _draw_part(upper, lower, tested)
            cell.legend(*upper.get_legend_handles_labels(), loc="outside lower left", frameon=False)
            upper.set_title("\n".join((place[1], f"{place[0]}, {place[2]}")), loc="left")
        sns.despine(figure)
    return figure


def _draw_part(upper: Axes, lower: Axes, tested: Sequence[TestedImage]) -> None:
    """One part: the models' accuracies above, their counts below, side by side within a bin."""
    upper.plot((0, 100), (0, 100), color=GREY, linestyle="--", linewidth=0.7)
    width = 100 / BINS / (len(MODELS) + 0.5)
    for number, model in enumerate(MODELS):
        said = judge(tested, model)
        bins = fill_bins(*said)
        at, right = [100 * b.probability for b in bins], [100 * b.accuracy for b in bins]
        label = f"{model.replace('_', '-')}, ECE {100 * calibration_error(*said):.1f}"
        upper.plot(at, right, color=_COLORS[model], linewidth=0.8, label=label)
        upper.scatter(at, right, [3 + 60 * b.images / len(tested) for b in bins], color=_COLORS[model], linewidths=0)
        starts = [100 * b.start + (number + 0.25) * width for b in bins]
        lower.bar(starts, [b.images for b in bins], width, align="edge", color=_COLORS[model])
    upper.set(ylabel="right, %", xlim=(0, 100), ylim=(-2, 102))
    lower.set(xlabel="probability, %", ylabel="images")
