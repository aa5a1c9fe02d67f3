"""A sheet of heat maps: for every image, where each head looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy import ndarray

from headroles.errors import InputError
from headroles.figures.fitting import shorten
from headroles.figures.page import head, square
from headroles.figures.style import GREY, INK, Drawing, figure_style, now
from headroles.images.pictures import decode_picture
from headroles.uses.attended import QUANTITIES, Attended, HeadView, ImageView

_CELL, _GAP, _ABOVE, _BELOW, _TOP, _BAR = 1.5, 0.18, 0.4, 0.22, 0.85, 0.75
"""Inches: a picture, between pictures, its two title lines, its number, heading, colour bar."""
_WIDE = 6
"""Heads side by side."""
_LOOKS = {"contribution": "PuOr_r", "attention": "cividis"}
"""Purple to orange around white, and blue to yellow: both hold for every kind of colour vision."""


def attention_figure(attended: Attended, own_scales: bool = False) -> Figure:
    """`attend_figure` of the plain row of CLS."""
    return attend_figure(attended, "attention", own_scales)


def attend_figure(attended: Attended, quantity: str = "contribution", own_scales: bool = False) -> Figure:
    """Every image beside one heat map a head, all on one scale, or with `own_scales` every head on one of its own.

    `quantity`: "contribution" (to the text, diverging around 0) or "attention" (the plain row of CLS).
    """
    if quantity not in QUANTITIES:
        raise InputError(f"quantity must be one of {', '.join(QUANTITIES)}, got {quantity!r}")
    found, heads = attended.images, attended.images[0].heads
    look = now()
    fitting = int((look.most - 2 * look.margin - _CELL) / (_CELL + _GAP))
    wide, above = min(len(heads), _WIDE, max(1, fitting)), _TOP if look.headed else look.margin
    lines = math.ceil(len(heads) / wide)
    step = _CELL + _ABOVE + _BELOW
    width = max(2 * look.margin + (wide + 1) * _CELL + wide * _GAP, look.least)
    height = above + len(found) * lines * step + _BAR
    scales = _scales(found, quantity, own_scales)
    with figure_style():
        figure = Drawing(figsize=(width, height))
        _head(figure, quantity)
        for number, view in enumerate(found):
            picture = decode_picture(view.picture) / 255
            start = above + number * lines * step + _ABOVE
            axes = square(figure, _CELL, look.margin, start)
            axes.imshow(picture)
            axes.set_title(shorten(view.image, _CELL), loc="left", pad=3, color=INK)
            for place, head in enumerate(view.heads):
                row, column = divmod(place, wide)
                axes = square(figure, _CELL, look.margin + (column + 1) * (_CELL + _GAP), start + row * step)
                _map(axes, picture, head.grid(quantity), quantity, scales[place])
                _name(axes, head, quantity)
        _bar(figure, scales, quantity, own_scales)
    return figure


def _scales(found: Sequence[ImageView], quantity: str, own: bool) -> list[Normalize]:
    """Every head's scale over all images: from 0 for attention, around 0 for contributions."""
    tops = np.array([[np.abs(head.grid(quantity)).max() for head in view.heads] for view in found])
    top = np.maximum(tops.max(0), 1e-12)
    top = top if own else np.full(len(top), top.max())
    return [Normalize(-each if quantity == "contribution" else 0, each) for each in top.tolist()]


def _head(figure: Drawing, quantity: str) -> None:
    heading = (
        "What heads add to a text, patch by patch" if quantity == "contribution" else "Attention of CLS to patches"
    )
    note = (
        "Exact parts of the cosine with the text; below each map the sum with CLS's own part."
        if quantity == "contribution"
        else "Softmax weights; below each map what is left for CLS itself."
    )
    head(figure, heading, note)


def _map(
    axes: Axes,
    picture: Float[ndarray, "height width 3"],
    values: Float[ndarray, "row column"],
    quantity: str,
    scale: Normalize,
) -> None:
    """The map over a pale grey copy of the picture."""
    height, width, _ = picture.shape
    grey = picture @ np.array([0.299, 0.587, 0.114])
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(grey, cmap="gray", vmin=-0.9, vmax=1, extent=extent)
    weight = np.abs(values) / scale.vmax  # What is near 0 lets the picture through.
    axes.imshow(
        values, cmap=_LOOKS[quantity], norm=scale, alpha=0.25 + 0.65 * weight, extent=extent, interpolation="nearest"
    )


def _name(axes: Axes, head: HeadView, quantity: str) -> None:
    """Head and concept, its text, and under the map the number."""
    whole = _CELL * 72
    axes.annotate(head.head, (0, 1), (0, 15), "axes fraction", "offset points", weight="bold", color=INK)
    axes.annotate(head.concept, (1, 1), (0, 15), "axes fraction", "offset points", ha="right", color=GREY)
    if quantity == "contribution":
        axes.annotate(shorten(head.text or "", whole / 72), (0, 1), (0, 4), "axes fraction", "offset points", color=INK)
        note = f"sum {head.contribution:+.3f}  (CLS {head.rest(quantity):+.3f})"
    else:
        note = f"CLS {head.rest(quantity):.2f}"
    axes.annotate(note, (0, 0), (0, -10), "axes fraction", "offset points", color=GREY)


def _bar(figure: Figure, scales: Sequence[Normalize], quantity: str, own: bool) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes(((now().margin + 0.15) / width, 0.47 / height, 2.6 / width, 0.12 / height))
    label = "part of the cosine with the text" if quantity == "contribution" else "attention"
    label += ", every head to its own largest" if own else ""
    look = ScalarMappable(scales[0], matplotlib.colormaps[_LOOKS[quantity]])
    bar = figure.colorbar(look, cax=axes, orientation="horizontal")
    axes.set_xlabel(label, loc="left")
    low, high = scales[0].vmin or 0.0, scales[0].vmax or 0.0
    ends = ("smallest", "largest") if own else (f"{low:.3f}", f"{high:.3f}")
    ticks = [low, 0, high] if low else [0, high]
    labels = [ends[0], "0", ends[1]] if low else ["0", ends[1]]
    bar.set_ticks(ticks, labels=labels)
