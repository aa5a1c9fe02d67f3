"""Marks that mean the same on every figure: a concept's code and fill, a role's marker, a silent head's hatching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy import ndarray

from headroles.figures.style import COLORS, INK
from headroles.roles.role_map import SILENT, RoleMap

MARKERS = {"attribute": ("^", "#D55E00"), "mixed": ("D", "#CC79A7"), "generalization": ("o", "#56B4E9")}
"""Shape and Okabe-Ito colour of every role; a silent head has none. Hollow: the head does not stand out from chance."""
HOLLOW = "hollow: no more than chance"
"""What a marker without colour says of its head."""
HATCHES = ("", "/////", ".....", "xxxxx")
"""From the ninth concept on."""
_MARKER = 4.5
"""Points."""


class ConceptLook(NamedTuple):
    """How a concept looks."""

    name: str
    code: str
    """One or two letters, or a letter and a number."""
    color: str
    """Of its bars and patches."""
    hatch: str
    """One of `HATCHES`."""


SILENT_LOOK = ConceptLook(SILENT, "", "#BBBBBB", "/////")
"""Of a silent head's cells and bars."""


class HasRole(Protocol):
    """A head, as far as its marker goes."""

    @property
    def role(self) -> str:
        """One of `MARKERS`, or "silent"."""

    @property
    def stands_out(self) -> bool:
        """Whether its marker is filled."""


def concept_codes(concepts: Sequence[str]) -> dict[str, str]:
    """A short, unique code for every concept, in the given order.

    The first concept with an initial gets that letter ("C" for color). Later ones add the first letter of theirs
    with which the code does not also begin another concept ("Cu" for count, as "Co" begins color), or else a number.
    """
    codes: dict[str, str] = {}
    for concept in concepts:
        letters = [letter for letter in concept if letter.isalnum()] or ["x"]
        initial = letters[0].upper()
        misleading = {other[:2].lower() for other in concepts if other != concept}
        pairs = [initial + letter.lower() for letter in letters[1:]]
        clear = [pair for pair in pairs if pair.lower() not in misleading]
        candidates = chain([initial], clear, (f"{initial}{number}" for number in count(2)))
        codes[concept] = next(code for code in candidates if code not in codes.values())
    return codes


def concept_looks(concepts: Sequence[str]) -> dict[str, ConceptLook]:
    """The look of every concept of a bank, the same in all figures."""
    fills = [(color, hatch) for hatch in HATCHES for color in COLORS]
    codes = enumerate(concept_codes(concepts).items())
    return {name: ConceptLook(name, code, *fills[number % len(fills)]) for number, (name, code) in codes}


def concept_keys(looks: Mapping[str, ConceptLook]) -> list[Patch]:
    """Legend entries of concepts: "C  color"."""
    return [Patch(label=f"{look.code}  {look.name}", **fill(look)) for look in looks.values()]


def fill(concept: ConceptLook) -> dict[str, Any]:
    """How matplotlib's patches show it."""
    return {"facecolor": concept.color, "hatch": concept.hatch, "edgecolor": "white", "linewidth": 0.6}


def draw_bars(axes: Axes, bars: Sequence[tuple[float, float, float, ConceptLook]], height: float) -> None:
    """Horizontal bars (y, left, length, concept)."""
    up = np.array([-height / 2, height / 2, height / 2, -height / 2])
    for concept in dict.fromkeys(bar[3] for bar in bars):
        own = [(y, left, left + length) for y, left, length, each in bars if each == concept]
        corners = [np.column_stack([[left, left, right, right], y + up]) for y, left, right in own]
        axes.add_collection(PolyCollection(corners, snap=True, **fill(concept)), autolim=False)


def mark_roles(
    axes: Axes,
    heads: Sequence[HasRole],
    x: Float[ndarray, "head"],
    y: Float[ndarray, "head"],
    inks: Sequence[str] | None = None,
    size: float = _MARKER,
) -> None:
    """The role markers of heads at data coordinates, which may lie outside the axes; silent heads have none.

    The marker of a head that does not stand out from chance is hollow, drawn in the head's ink (None: all `INK`).
    `size`: points.
    """
    roles, sure = np.array([head.role for head in heads]), np.array([head.stands_out for head in heads], bool)
    ink = np.array([INK] * len(heads) if inks is None else inks)
    look: dict[str, Any] = {"s": size**2, "zorder": 3, "clip_on": False}
    for role, (shape, color) in MARKERS.items():
        full, hollow = (roles == role) & sure, (roles == role) & ~sure
        axes.scatter(x[full], y[full], marker=shape, facecolor=color, edgecolor=INK, linewidth=0.6, **look)
        axes.scatter(x[hollow], y[hollow], marker=shape, facecolor="none", edgecolor=ink[hollow], linewidth=1, **look)


def hatch_silent(axes: Axes, corners: Sequence[tuple[float, float]], width: float = 1, height: float = 1) -> None:
    """Grey hatched boxes at data coordinates, from their corners of least x and y."""
    for corner in corners:
        axes.add_artist(Rectangle(corner, width, height, **fill(SILENT_LOOK)))


def role_keys(heads: Sequence[HasRole] = ()) -> list[Artist]:
    """Legend entries of the roles, of hollow markers and of silent heads where `heads` have some."""
    look: dict[str, Any] = {"linestyle": "none", "markersize": _MARKER, "markeredgecolor": INK, "markeredgewidth": 0.6}
    keys: list[Artist] = [
        Line2D([], [], marker=shape, color=color, label=role, **look) for role, (shape, color) in MARKERS.items()
    ]
    speaking = [head for head in heads if head.role != SILENT]
    if not all(head.stands_out for head in speaking):
        keys.append(Line2D([], [], marker="o", markerfacecolor="none", label=HOLLOW, **look))
    if len(speaking) < len(heads):
        keys.append(Patch(label=SILENT, **fill(SILENT_LOOK)))
    return keys


def entropy_label(role_map: RoleMap) -> str:
    """The axis of `HeadRole.entropy`, whose unit depends on what heads were described with."""
    return "Concept Entropy / log2 C" if role_map.probe_kind == "image" else "Concept Entropy; 1: chance"
