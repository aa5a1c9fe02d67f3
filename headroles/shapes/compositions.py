"""Pictures that no scene of the world is like: one function a built-in task, from the values of a class to a picture.

The words are the world's, the rendering is not: turned, tiny, faint, half hidden or hollow items, crowds, clutter,
colored light, patterns of other scales, two items whose order counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headroles.shapes.items import Part, parts_of, points, side_of
from headroles.shapes.render import (
    COLORS,
    EXPOSURES,
    SIDE,
    Item,
    Picture,
    draw_background,
    draw_noise,
    draw_texture,
    vary_color,
)
from headroles.shapes.signs import SIGNS, draw_fabric
from headroles.shapes.world import CONCEPTS

Draw = Callable[..., Picture]
"""(rng, *values) -> picture; equal streams give equal pictures."""

ITEMS: tuple[str, ...] = CONCEPTS["shape"] + CONCEPTS["object"]
_LOW, _MIDDLE, _HIGH = (10, 19), (28, 37), (46, 55)
_PLACES = {
    "in the top left": (_LOW, _LOW), "at the top": (_MIDDLE, _LOW), "in the top right": (_HIGH, _LOW),
    "on the left": (_LOW, _MIDDLE), "on the right": (_HIGH, _MIDDLE),
    "in the bottom left": (_LOW, _HIGH), "at the bottom": (_MIDDLE, _HIGH), "in the bottom right": (_HIGH, _HIGH),
}  # fmt: skip
_BAR: tuple[Part, ...] = ((points(-1, -0.09, 1, -0.09, 1, 0.09, -1, 0.09), 1.0),)
_COPIES = {"one": 1, "two": 2, "three": 3, "four": 4}


def draw_turned(rng: np.random.Generator, item: str) -> Picture:
    """An item turned by 60 to 300 degrees."""
    angle = rng.uniform(np.pi / 3, 5 * np.pi / 3)
    return _picture(rng, [_item(rng, item, rng.uniform(24, 34), _near_middle(rng, 8), angle=angle)])


def draw_tiny(rng: np.random.Generator, item: str) -> Picture:
    """An item of about a sixth of the picture's side."""
    return _picture(rng, [_item(rng, item, rng.uniform(10, 13), _near_middle(rng, 20))])


def draw_faint(rng: np.random.Generator, item: str) -> Picture:
    """An item that the background shines through."""
    opacity = rng.uniform(0.4, 0.6)
    return _picture(rng, [_item(rng, item, rng.uniform(24, 34), _near_middle(rng, 10), opacity=opacity)])


def draw_hollow(rng: np.random.Generator, item: str) -> Picture:
    """The contours of an item, faintly filled."""
    return _picture(rng, [_item(rng, item, rng.uniform(24, 36), _near_middle(rng, 10), outline=True)])


def draw_hidden(rng: np.random.Generator, item: str) -> Picture:
    """An item behind a slanted grey bar."""
    (x, y), angle, distance = _near_middle(rng, 8), rng.uniform(0, np.pi), rng.uniform(-6, 6)
    place = (round(x - distance * np.sin(angle)), round(y + distance * np.cos(angle)))
    bar = Item(_BAR, (place,), 60.0, -angle, np.full(3, rng.uniform(60, 200)))
    return _picture(rng, [_item(rng, item, rng.uniform(26, 34), (x, y)), bar])


def draw_clutter(rng: np.random.Generator, item: str) -> Picture:
    """A big item among small ones of any kind and color."""
    big = _item(rng, item, rng.uniform(22, 27), _near_middle(rng, 10))
    return _picture(rng, [*_litter(rng, big, 6, ITEMS, tuple(COLORS)), big])


def draw_rare(rng: np.random.Generator, color: str, item: str) -> Picture:
    """A big colored item among small ones of the same two items and two colors, otherwise paired."""
    (items, colors) = next((i, c) for i, c in RIVALS if item in i and color in c)
    big = _item(rng, item, rng.uniform(20, 25), _near_middle(rng, 10), color)
    return _picture(rng, [*_litter(rng, big, 6, items, colors), big])


def draw_order(rng: np.random.Generator, left: str, right: str) -> Picture:
    """Two items of one kind side by side, told apart by color."""
    item, height = _pick(rng, ITEMS), rng.integers(22, 43, 2)
    x = int(rng.integers(15, 22)), int(rng.integers(42, 49))
    pair = [
        _item(rng, item, rng.uniform(17, 24), (x[i], int(height[i])), color) for i, color in enumerate((left, right))
    ]
    return _picture(rng, pair)


def draw_stack(rng: np.random.Generator, top: str, bottom: str) -> Picture:
    """Two items of one color, one above the other."""
    color, x = _pick(rng, tuple(COLORS)), rng.integers(22, 43, 2)
    y = int(rng.integers(15, 22)), int(rng.integers(42, 49))
    pair = [_item(rng, item, rng.uniform(19, 25), (int(x[i]), y[i]), color) for i, item in enumerate((top, bottom))]
    return _picture(rng, pair)


def draw_weave(rng: np.random.Generator, texture: str, background: str) -> Picture:
    """An item whose pattern is scaled and turned."""
    diameter, scale, angle = rng.uniform(28, 38), rng.uniform(1.2, 1.6), rng.uniform(0, np.pi)
    pattern = draw_texture(texture, side_of(diameter), rng, scale, angle)
    return _picture(rng, [_item(rng, _pick(rng, ITEMS), diameter, _near_middle(rng, 8), pattern=pattern)], background)


def draw_crowd(rng: np.random.Generator, count: str, item: str) -> Picture:
    """Copies of uneven size and color that may touch."""
    copies: list[Item] = []
    while len(copies) < _COPIES[count]:
        diameter = rng.uniform(13, 26)
        place = _near_middle(rng, 22)
        if all(_distance(place, copy) > 0.42 * (diameter + copy.diameter) for copy in copies):
            copies.append(_item(rng, item, diameter, place))
    return _picture(rng, copies)


def draw_place(rng: np.random.Generator, item: str, place: str) -> Picture:
    """An item off the world's grid of places, among small ones."""
    x, y = (int(rng.integers(*limits)) for limits in _PLACES[place])
    big = _item(rng, item, rng.uniform(17, 22), (x, y))
    others = tuple(other for other in ITEMS if other != item)
    return _picture(rng, [*_litter(rng, big, 3, others, tuple(COLORS)), big])


def draw_lamp(rng: np.random.Generator, color: str, item: str) -> Picture:
    """A colored item in colored light."""
    tint = rng.uniform(0.35, 1.0, 3)
    tint /= tint.max()
    return _picture(rng, [_item(rng, item, rng.uniform(24, 34), _near_middle(rng, 8), color)], tint=tint)


def draw_pastel(rng: np.random.Generator, color: str, item: str) -> Picture:
    """An item in a color mixed with much white."""
    white = rng.uniform(0.4, 0.55)
    pale = vary_color(COLORS[color], rng) * (1 - white) + 255 * white
    return _picture(rng, [_item(rng, item, rng.uniform(24, 34), _near_middle(rng, 8), fill=pale)])


def draw_sign(rng: np.random.Generator, sign: str) -> Picture:
    """A shape that the world does not have."""
    return _picture(rng, [_item(rng, SIGNS[sign], rng.uniform(24, 36), _near_middle(rng, 10))])


def draw_cloth(rng: np.random.Generator, fabric: str) -> Picture:
    """A texture that the world does not have."""
    diameter = rng.uniform(34, 42)
    pattern = draw_fabric(fabric, side_of(diameter))
    item = _item(rng, _pick(rng, ("circle", "square", "heart")), diameter, _near_middle(rng, 6), pattern=pattern)
    return _picture(rng, [item])


RIVALS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("circle", "square"), ("red", "pink")),
    (("car", "boat"), ("blue", "cyan")),
    (("triangle", "crescent"), ("purple", "orange")),
    (("flower", "mushroom"), ("green", "yellow")),
)
"""Two items and two colors each; two of their four pairs are held out from the world's training scenes."""


def _picture(
    rng: np.random.Generator, items: Sequence[Item], background: str | None = None, tint: np.ndarray | float = 1.0
) -> Picture:
    """Items on a background of the world, any unless named, in any of its brightnesses; `tint` is a factor (3,)."""
    empty = draw_background(background or _pick(rng, CONCEPTS["background"]), rng)
    exposure = EXPOSURES[_pick(rng, CONCEPTS["brightness"])] * rng.uniform(0.95, 1.05)
    return Picture(empty, tuple(items), exposure * tint, draw_noise(rng))


def _item(
    rng: np.random.Generator,
    item: str | tuple[Part, ...],
    diameter: float,
    place: tuple[int, int],
    color: str | None = None,
    angle: float | None = None,
    fill: np.ndarray | None = None,
    **others: Any,
) -> Item:
    """A plain item of a color of the world, any unless named, nearly upright unless turned; `fill` is an RGB (3,)."""
    parts = parts_of(item) if isinstance(item, str) else item
    angle = rng.uniform(-0.16, 0.16) if angle is None else angle
    fill = vary_color(COLORS[color or _pick(rng, tuple(COLORS))], rng) if fill is None else fill
    return Item(parts, (place,), diameter, angle, fill, **others)


def _litter(rng: np.random.Generator, big: Item, count: int, items: Sequence[str], colors: Sequence[str]) -> list[Item]:
    """Up to `count` small items that keep clear of the big one and of each other."""
    small: list[Item] = []
    for _ in range(10 * count):
        diameter = rng.uniform(9, 12)
        place = (int(rng.integers(6, SIDE - 6)), int(rng.integers(6, SIDE - 6)))
        if len(small) < count and all(
            _distance(place, other) > (diameter + other.diameter) / 2 + 2 for other in (big, *small)
        ):
            small.append(_item(rng, _pick(rng, items), diameter, place, _pick(rng, colors)))
    return small


def _distance(place: tuple[int, int], other: Item) -> float:
    return float(np.hypot(place[0] - other.places[0][0], place[1] - other.places[0][1]))


def _near_middle(rng: np.random.Generator, reach: int) -> tuple[int, int]:
    x, y = rng.integers(-reach, reach + 1, 2) + SIDE // 2
    return int(x), int(y)


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]
