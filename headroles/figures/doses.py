"""Dose and response of a Validation: each concept's margin against the factor on its heads."""

from __future__ import annotations

import math

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.causal.costs import Estimate
from headroles.causal.dose_curve import DoseCurve
from headroles.causal.validation import Validation
from headroles.errors import InputError
from headroles.figures.page import head
from headroles.figures.style import COLORS, GREY, Drawing, figure_of, figure_style

_WIDE = 4
"""Panels side by side."""


def doses_figure(validation: Validation, concept: str | None = None, ax: Axes | None = None) -> Figure:
    """One panel a concept: what its margin gains by the factor on its heads, with its interval, in nats.

    Grey: the mean of the matched sets, and how far they range. At 1 the model is intact and nothing is gained. With
    `concept` that panel alone; with `ax` one panel is drawn into that. Raises InputError where the validation has no
    doses, or none of that concept, or several and an `ax`.
    """
    curves = _curves(validation, concept)
    if ax is not None:
        if len(curves) > 1:
            raise InputError(f"concept: an ax takes one panel, got {', '.join(curve.concept for curve in curves)}")
        with figure_style():
            _panel(ax, curves[0], COLORS[0])
        return figure_of(ax)
    rows, columns = math.ceil(len(curves) / _WIDE), min(len(curves), _WIDE)
    with figure_style():
        figure = Drawing(figsize=(max(4.2, 2.3 * columns), 0.1 + 2.1 * rows), layout="constrained")
        how = f"{validation.settings['effect']} effect, about {validation.settings['mode']}; grey: matched sets"
        facts = f"{validation.model.name}, {validation.images.count:,} images ({validation.images.source}), {how}"
        head(figure, "What scaling a concept's heads does to it", facts)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, axes in enumerate(panels):
            if place < len(curves):
                _panel(axes, curves[place], COLORS[place % len(COLORS)])
            else:
                axes.set_axis_off()
    return figure


def _curves(validation: Validation, concept: str | None) -> list[DoseCurve]:
    if not validation.doses:
        raise InputError("kind: this validation has no doses; validate with --doses -1,0,0.5,2,5 to draw them")
    found = [curve for curve in validation.doses if concept in (None, curve.concept)]
    if not found:
        known = ", ".join(curve.concept for curve in validation.doses)
        raise InputError(f"concept must be one of {known}, got {concept!r}")
    return found


def _panel(axes: Axes, curve: DoseCurve, color: str) -> None:
    """Own heads over matched sets; the intact model is a point of both."""
    none = Estimate(0.0, 0.0, 0.0)
    given = {point.factor: (point.gained, point.random, point.random_range) for point in curve.points}
    points = sorted({1.0: (none, none, (0.0, 0.0)), **given}.items())
    factors = [factor for factor, _ in points]
    if all(random and ends for _, (_, random, ends) in points):
        low, high = zip(*(ends for _, (_, _, ends) in points if ends), strict=True)
        axes.fill_between(factors, low, high, color=GREY, alpha=0.2, linewidth=0)
        axes.plot(factors, [random.value or 0 for _, (_, random, _) in points if random], color=GREY, linestyle="--")
    own = [(each.value or 0, each.low or 0, each.high or 0) for _, (each, _, _) in points]
    value, low, high = zip(*own, strict=True)
    axes.fill_between(factors, low, high, color=color, alpha=0.3, linewidth=0)
    axes.plot(factors, value, color=color, marker="o", markersize=3)
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.axvline(1, color=GREY, linewidth=0.5)
    axes.set(xlabel="factor on its heads", ylabel="margin gained, nats")
    heads = curve.heads[0] if len(curve.heads) == 1 else f"{len(curve.heads)} heads"
    axes.set_title(f"{curve.concept} ({heads})", loc="left")
    sns.despine(ax=axes)
