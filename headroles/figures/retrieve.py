"""A contact sheet: the query, its neighbours by some heads, and its neighbours by the whole embedding."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from headroles.figures.fitting import shorten
from headroles.figures.page import square
from headroles.figures.style import GREY, INK, Drawing, figure_style
from headroles.images.images import UNREADABLE, find_printed, open_image
from headroles.images.pictures import decode_picture
from headroles.uses.retrieved import Retrieved
from headroles.uses.search import Neighbour

_CELL, _GAP, _MARGIN, _TOP, _ROW, _THUMB = 1.2, 0.14, 0.3, 0.8, 1.95, 256
"""Inches: a picture, between pictures, the page's edge, heading, a row with its title and names; pixels."""


def contact_sheet(found: Retrieved) -> Figure:
    """Two rows of pictures below the query: by the heads that searched, by the whole embedding."""
    rows = ((found.by, found.by_heads), ("whole embedding", found.by_embedding))
    across = 1 + max(len(found.by_heads), 1)
    width = max(2 * _MARGIN + across * _CELL + (across - 1) * _GAP + 0.3, 5.6)
    height = _TOP + len(rows) * _ROW + 0.1
    with figure_style():
        figure = Drawing(figsize=(width, height))
        figure.text(_MARGIN / width, 1 - _MARGIN / height, "Images that these heads find alike", va="top", size=11,
                    weight="bold")  # fmt: skip
        note = "Below each picture: cosine with the query. Heads: of their summed parts, the index's mean taken off."
        figure.text(_MARGIN / width, 1 - (_MARGIN + 0.23) / height, note, va="top", color=GREY)
        picture = _look(found, found.query) if found.query_picture is None else _decode(found.query_picture)
        _picture(square(figure, _CELL, _MARGIN, _TOP + 0.25), picture, found.query, "query")
        for line, (label, neighbours) in enumerate(rows):
            top, left = _TOP + line * _ROW, _MARGIN + _CELL + _GAP + 0.3
            figure.text(left / width, 1 - top / height, f"by {label}", va="top", weight="bold", color=INK)
            for place, each in enumerate(neighbours):
                axes = square(figure, _CELL, left + place * (_CELL + _GAP), top + 0.25)
                _picture(axes, _look(found, each.name), each.name, _score(each))
    return figure


def _score(neighbour: Neighbour) -> str:
    return f"{neighbour.score:.3f}"


def _look(found: Retrieved, name: str) -> Image.Image | None:
    """A thumbnail of one of the images; None for a file that has gone since."""
    if name in found.pictures:
        return _decode(found.pictures[name])
    try:
        image = open_image(find_printed(Path(found.folder or ".") / name))
    except UNREADABLE:
        return None
    image.thumbnail((_THUMB, _THUMB))
    return image


def _decode(text: str) -> Image.Image:
    return Image.fromarray(decode_picture(text))


def _picture(axes: Axes, image: Image.Image | None, name: str, note: str) -> None:
    """A picture with its note and name; one that is not there leaves its place empty."""
    if image is None:
        axes.text(0.5, 0.5, "not readable", ha="center", va="center", transform=axes.transAxes, color=GREY)
    else:
        axes.imshow(image)
    for line, (text, color) in enumerate(((note, INK), (_ending(name), GREY))):
        axes.annotate(text, (0, 0), (0, -10 - 10 * line), "axes fraction", "offset points", color=color)


def _ending(name: str) -> str:
    """A long name's file, as much of it as fits."""
    return shorten(name, _CELL) if shorten(name, _CELL) == name else shorten(Path(name).name, _CELL)
