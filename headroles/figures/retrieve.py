"""A contact sheet: the query, its neighbours by some heads, and its neighbours by the whole embedding."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from headroles.figures.fitting import shorten
from headroles.figures.page import head, square
from headroles.figures.style import GREY, INK, Drawing, figure_style, now
from headroles.images.images import UNREADABLE, find_printed, open_image
from headroles.images.pictures import decode_picture
from headroles.uses.retrieved import Retrieved
from headroles.uses.search import Neighbour

_CELL, _GAP, _TOP, _ROW, _THUMB = 1.2, 0.14, 0.9, 1.95, 256
"""Inches: a picture, between pictures, heading, a row with its title and names; pixels."""


def contact_sheet(found: Retrieved) -> Figure:
    """Two rows of pictures below the query: by the heads that searched, by the whole embedding."""
    rows = ((found.by, found.by_heads), ("whole embedding", found.by_embedding))
    across = 1 + max(len(found.by_heads), 1)
    look = now()
    above = _TOP if look.headed else look.margin
    cell = min(_CELL, max(0.8, (look.most - 2 * look.margin - 0.3) / across - _GAP))
    width = max(2 * look.margin + across * (cell + _GAP) - _GAP + 0.3, look.least)
    height = above + len(rows) * (_ROW - _CELL + cell) + 0.1
    with figure_style():
        figure = Drawing(figsize=(width, height))
        note = "Below each picture: cosine with the query. Heads: of their summed parts, the index's mean taken off."
        head(figure, "Images that these heads find alike", note)
        picture = _look(found, found.query) if found.query_picture is None else _decode(found.query_picture)
        _picture(square(figure, cell, look.margin, above + 0.25), picture, found.query, "query")
        for line, (label, neighbours) in enumerate(rows):
            top, left = above + line * (_ROW - _CELL + cell), look.margin + cell + _GAP + 0.3
            figure.text(left / width, 1 - top / height, f"by {label}", va="top", weight="bold", color=INK)
            for place, each in enumerate(neighbours):
                axes = square(figure, cell, left + place * (cell + _GAP), top + 0.25)
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
