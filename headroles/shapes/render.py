"""Scene -> 64 x 64 RGB pixels, by way of a picture: background, items, light, noise.

Deterministic: the scene's own stream fixes every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from headroles.shapes.items import Part, draw_silhouette, parts_of, side_of
from headroles.shapes.world import CONCEPTS, NAMES, Scene

SIDE = 64
"""Height and width of a rendered scene, in pixels."""
COLORS = {
    "red": (225, 30, 35), "orange": (250, 135, 20), "yellow": (250, 232, 40), "green": (40, 165, 55),
    "cyan": (40, 215, 215), "blue": (40, 70, 225), "purple": (135, 45, 185), "pink": (255, 150, 200),
}  # fmt: skip
"""Color name -> its RGB."""
EXPOSURES = {"bright": 1.0, "dim": 0.68, "dark": 0.44}
"""Brightness -> the factor on all pixels."""

_DIAMETER = {"small": 20.0, "medium": 26.5, "large": 35.0}
_PATTERN_SHADE = 0.4


@dataclass(frozen=True)
class Item:
    """One item of a picture, and where its copies are."""

    parts: tuple[Part, ...]
    """Its polygons, back to front."""
    places: tuple[tuple[int, int], ...]
    """Centers (x, y) of its copies, in pixels."""
    diameter: float
    """Diameter, in pixels."""
    angle: float
    """Turn, in radians, clockwise."""
    color: np.ndarray
    """RGB (3,) in [0, 255]."""
    pattern: np.ndarray | float = 1.0
    """Factor on the shade: a number, or (side, side) with the side of `items.side_of`."""
    opacity: float = 1.0
    """1 hides what is behind the item, 0 hides the item."""
    outline: bool = False
    """Whether it is drawn as contours, faintly filled."""


@dataclass(frozen=True)
class Picture:
    """All that `paint` needs: nothing in it is random any more."""

    background: np.ndarray
    """Empty scene, float32 (64, 64, 3) in [0, 255]."""
    items: tuple[Item, ...]
    """Back to front."""
    exposure: float | np.ndarray
    """Factor on all pixels, or one a channel (3,)."""
    noise: np.ndarray
    """What is added in the end, float32 (64, 64, 3)."""


def render(scene: Scene) -> np.ndarray:
    """The scene's image, uint8 (64, 64, 3)."""
    return paint(picture_of(scene))[0]


def render_with_mask(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The scene's image, uint8 (64, 64, 3), and how much of every pixel its items cover, float32 (64, 64) in [0, 1]."""
    return paint(picture_of(scene))


def picture_of(scene: Scene) -> Picture:
    """The scene with all that its labels leave open drawn from its own stream."""
    rng = np.random.default_rng([*scene.stream, 1])
    shown = {name: value for name in NAMES if (value := scene.value(name)) is not None}
    background = draw_background(shown["background"], rng)
    diameter = _DIAMETER[shown["size"]] * rng.uniform(0.96, 1.04)
    angle = rng.uniform(-0.16, 0.16)
    pattern = draw_texture(shown["texture"], side_of(diameter), rng)
    color = vary_color(COLORS[shown["color"]], rng)
    parts = parts_of(shown.get("shape") or shown["object"])
    item = Item(parts, tuple(_places(scene, diameter, rng)), diameter, angle, color, pattern)
    exposure = EXPOSURES[shown["brightness"]] * rng.uniform(0.95, 1.05)
    return Picture(background, (item,), exposure, draw_noise(rng))


def paint(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The picture's pixels, uint8 (64, 64, 3), and how much of each its items cover, float32 (64, 64) in [0, 1]."""
    canvas = picture.background.copy()
    mask = np.zeros((SIDE, SIDE, 1), dtype=np.float32)
    for item in picture.items:
        alpha, shade = draw_silhouette(item.parts, item.diameter, item.angle, item.outline)
        shade = shade if item.outline else shade * item.pattern
        sprite = shade[..., None] * item.color.astype(np.float32)
        if item.opacity != 1:
            alpha = alpha * np.float32(item.opacity)
        for x, y in item.places:
            _paste(canvas, sprite, alpha, x, y)
            _paste(mask, np.ones_like(alpha)[..., None], alpha, x, y)
    canvas *= picture.exposure
    canvas += picture.noise
    return np.clip(canvas, 0, 255).astype(np.uint8), mask[..., 0]


def vary_color(color: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """A color near this one, RGB (3,)."""
    return np.clip(np.array(color) + rng.normal(0, 7, 3), 0, 255)


def draw_noise(rng: np.random.Generator, deviation: float = 3) -> np.ndarray:
    """Sensor noise, float32 (64, 64, 3)."""
    return rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32) * deviation


def _places(scene: Scene, diameter: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Centers (x, y) of the item's copies: one of nine anchors, or distinct cells of a 2 x 2 grid."""
    position = scene.value("position")
    if position is not None:
        row, column = divmod(CONCEPTS["position"].index(position), 3)
        jitter = rng.integers(-2, 3, 2)
        return [(16 + 16 * column + int(jitter[0]), 16 + 16 * row + int(jitter[1]))]
    copies = CONCEPTS["count"].index(scene.value("count")) + 1
    room = max(0, int((SIDE / 2 - diameter) / 2))
    cells = rng.permutation(4)[:copies]
    jitter = rng.integers(-room, room + 1, (copies, 2))
    places = np.stack([cells % 2, cells // 2], 1) * 32 + 16 + jitter
    return [(int(x), int(y)) for x, y in places]


def _paste(canvas: np.ndarray, sprite: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    """Blend the sprite into the canvas around (x, y), clipped at the border."""
    side = sprite.shape[0]
    left, top = x - side // 2, y - side // 2
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, SIDE), min(top + side, SIDE)
    inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    target = canvas[y0:y1, x0:x1]
    target += alpha[inner][..., None] * (sprite[inner] - target)


def draw_texture(
    name: str, side: int, rng: np.random.Generator, scale: float = 1.0, angle: float = 0.0
) -> np.ndarray | float:
    """A factor on the shade, (side, side): 1 is the plain color; the pattern may be scaled and turned (radians)."""
    if name == "solid":
        return 1.0
    dx, dy = rng.integers(0, 8, 2)
    y, x = np.mgrid[dy : dy + side, dx : dx + side]
    if scale != 1 or angle != 0:
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        x, y = cos * x + sin * y, cos * y - sin * x
    if name == "striped":
        dark = (x + y) % 7 < 3
    elif name == "dotted":
        dark = ((x % 6 - 2) ** 2 + (y % 6 - 2) ** 2) < 3
    elif name == "checkered":
        dark = (x // 4 + y // 4) % 2 == 0
    else:
        dark = _speckles(side, scale, rng)
    return np.where(dark, np.float32(_PATTERN_SHADE), np.float32(1))


def _speckles(side: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    dark = rng.random((side, side)) < 0.4
    cell = (np.arange(side) / scale).astype(int)
    return dark[np.ix_(cell, cell)]


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return x, y


def draw_background(name: str, rng: np.random.Generator) -> np.ndarray:
    """The empty scene, float32 (64, 64, 3) in [0, 255]."""
    x, y = _grid()
    if name == "sky":
        shade = _tint((125, 185, 245), rng) * (1 + 0.0035 * y[..., None])
    elif name == "night":
        stars = rng.random((SIDE, SIDE)) < 0.02
        shade = _tint((18, 20, 52), rng) + 170 * stars[..., None]
    elif name == "grass":
        blades = rng.random((1, SIDE)) * 0.5 + 0.25 * ((y + 5 * x) % 9 < 4)
        shade = _tint((85, 120, 40), rng) * (0.7 + blades[..., None])
    elif name == "sand":
        grain = rng.standard_normal((SIDE, SIDE, 1)) * 0.07
        shade = _tint((222, 190, 130), rng) * (1 + grain)
    elif name == "brick":
        dx, dy = rng.integers(0, 16, 2)
        row = (y + dy) // 8
        mortar = ((y + dy) % 8 < 1) | ((x + dx + 8 * (row % 2)) % 16 < 1)
        shade = np.where(mortar[..., None], 190.0, _tint((140, 72, 55), rng))
    else:
        shade = _tint((238, 243, 250), rng) - 14 * (rng.random((SIDE, SIDE, 1)) < 0.12)
    return np.broadcast_to(shade, (SIDE, SIDE, 3)).astype(np.float32)


def _tint(color: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    return np.array(color) + rng.normal(0, 5, 3)
