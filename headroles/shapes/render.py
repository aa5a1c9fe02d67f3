"""Scene -> 64 x 64 RGB pixels. Deterministic: the scene's own stream fixes every pixel."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from headroles.shapes.world import CONCEPTS, Scene

SIDE = 64
"""Height and width of a rendered scene, in pixels."""

_COLORS = {
    "red": (225, 30, 35), "orange": (250, 135, 20), "yellow": (250, 232, 40), "green": (40, 165, 55),
    "cyan": (40, 215, 215), "blue": (40, 70, 225), "purple": (135, 45, 185), "pink": (255, 150, 200),
}  # fmt: skip
_DIAMETER = {"small": 20.0, "medium": 26.5, "large": 35.0}
_EXPOSURE = {"bright": 1.0, "dim": 0.68, "dark": 0.44}
_PATTERN_SHADE = 0.4
_OUTLINE_SHADE = 0.12
_SUPERSAMPLE = 3

Part = tuple[np.ndarray, float]
"""One polygon of an item: points (n, 2) in [-1, 1], y downwards, and its shade in [0, 1]."""


def render(scene: Scene) -> np.ndarray:
    """The scene's image, uint8 (64, 64, 3)."""
    return render_with_mask(scene)[0]


def render_with_mask(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The scene's image, uint8 (64, 64, 3), and how much of every pixel its items cover, float32 (64, 64) in [0, 1]."""
    rng = np.random.default_rng([*scene.stream, 1])
    canvas = _background(scene.value("background"), rng)
    diameter = _DIAMETER[scene.value("size")] * rng.uniform(0.96, 1.04)
    alpha, shade = _silhouette(scene.value("shape") or scene.value("object"), diameter, rng.uniform(-0.16, 0.16))
    shade = shade * _texture(scene.value("texture"), shade.shape[0], rng)
    color = np.clip(np.array(_COLORS[scene.value("color")]) + rng.normal(0, 7, 3), 0, 255)
    sprite = shade[..., None] * color.astype(np.float32)
    mask = np.zeros((SIDE, SIDE, 1), dtype=np.float32)
    for x, y in _places(scene, diameter, rng):
        _paste(canvas, sprite, alpha, x, y)
        _paste(mask, np.ones_like(alpha)[..., None], alpha, x, y)
    canvas *= _EXPOSURE[scene.value("brightness")] * rng.uniform(0.95, 1.05)
    canvas += rng.standard_normal(canvas.shape, dtype=np.float32) * 3
    return np.clip(canvas, 0, 255).astype(np.uint8), mask[..., 0]


def _places(scene: Scene, diameter: float, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Centers (x, y) of the item's copies: one of nine anchors, or distinct cells of a 2 x 2 grid."""
    location = scene.value("location")
    if location is not None:
        row, column = divmod(CONCEPTS["location"].index(location), 3)
        jitter = rng.integers(-2, 3, 2)
        return [(16 + 16 * column + int(jitter[0]), 16 + 16 * row + int(jitter[1]))]
    copies = CONCEPTS["count"].index(scene.value("count")) + 1
    room = max(0, int((SIDE / 2 - diameter) / 2))
    cells = rng.permutation(4)[:copies]
    jitter = rng.integers(-room, room + 1, (copies, 2))
    return [(16 + 32 * int(c % 2) + int(dx), 16 + 32 * int(c // 2) + int(dy)) for c, (dx, dy) in zip(cells, jitter)]


def _paste(canvas: np.ndarray, sprite: np.ndarray, alpha: np.ndarray, x: int, y: int) -> None:
    """Blend the sprite into the canvas around (x, y), clipped at the border."""
    side = sprite.shape[0]
    left, top = x - side // 2, y - side // 2
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, SIDE), min(top + side, SIDE)
    inner = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    target = canvas[y0:y1, x0:x1]
    target += alpha[inner][..., None] * (sprite[inner] - target)


def _silhouette(item: str, diameter: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and shade, each float32 (side, side) in [0, 1], of an item drawn with anti-aliasing."""
    side = math.ceil(diameter * 1.2) + 2
    big = side * _SUPERSAMPLE
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turn *= diameter / 2 * _SUPERSAMPLE
    image = Image.new("LA", (big, big), (0, 0))
    draw = ImageDraw.Draw(image)
    for points, shade in _parts(item):
        outline = [tuple(point) for point in points @ turn + big / 2]
        level = (round(255 * shade), 255) if shade >= 0 else (0, 0)
        draw.polygon(outline, fill=level)
        draw.line([*outline, outline[0]], fill=(round(255 * _OUTLINE_SHADE), 255), width=_SUPERSAMPLE)
    planes = np.asarray(image, dtype=np.float32).reshape(side, _SUPERSAMPLE, side, _SUPERSAMPLE, 2).mean((1, 3)) / 255
    alpha = planes[..., 1]
    return alpha, planes[..., 0] / np.maximum(alpha, 1e-3)


@cache
def _parts(item: str) -> tuple[Part, ...]:
    """The polygons of an item, back to front; a negative shade cuts a hole."""
    if item == "circle":
        return ((_ellipse(0, 0, 1, 1), 1.0),)
    if item == "square":
        return ((_box(-0.85, -0.85, 0.85, 0.85), 1.0),)
    if item == "triangle":
        return ((_points(0, -1, 0.98, 0.8, -0.98, 0.8), 1.0),)
    if item == "star":
        return ((_star(5, 0.42), 1.0),)
    if item == "heart":
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        x = np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 15
        return ((np.stack([x, y], 1), 1.0),)
    if item == "cross":
        a = 0.34
        return ((_points(-a, -1, a, -1, a, -a, 1, -a, 1, a, a, a, a, 1, -a, 1, -a, a, -1, a, -1, -a, -a, -a), 1.0),)
    if item == "ring":
        return ((_ellipse(0, 0, 1, 1), 1.0), (_ellipse(0, 0, 0.52, 0.52), -1.0))
    if item == "crescent":
        t = np.linspace(0.25 * np.pi, 1.75 * np.pi, 40)
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        inner = np.stack([0.5 + 0.74 * np.cos(t[::-1]), 0.74 * np.sin(t[::-1])], 1)
        return ((np.concatenate([outer, inner]) + [0.12, 0], 1.0),)
    return _OBJECTS[item]()


def _house() -> tuple[Part, ...]:
    return (
        (_box(-0.72, -0.12, 0.72, 0.95), 1.0),
        (_points(-1, -0.12, 0, -1, 1, -0.12), 0.6),
        (_box(-0.2, 0.35, 0.22, 0.95), 0.3),
    )


def _tree() -> tuple[Part, ...]:
    return (
        (_box(-0.16, 0.4, 0.16, 1), 0.4),
        (_points(0, -0.35, 0.85, 0.6, -0.85, 0.6), 1.0),
        (_points(0, -1, 0.62, 0.02, -0.62, 0.02), 1.0),
    )


def _fish() -> tuple[Part, ...]:
    return (
        (_points(0.35, 0, 1, -0.55, 1, 0.55), 0.65),
        (_ellipse(-0.22, 0, 0.76, 0.52), 1.0),
        (_ellipse(-0.58, -0.12, 0.1, 0.1), 0.12),
    )


def _car() -> tuple[Part, ...]:
    return (
        (_points(-0.6, -0.1, -0.38, -0.6, 0.38, -0.6, 0.66, -0.1), 0.6),
        (_box(-1, -0.1, 1, 0.4), 1.0),
        (_ellipse(-0.52, 0.42, 0.27, 0.27), 0.2),
        (_ellipse(0.52, 0.42, 0.27, 0.27), 0.2),
    )


def _boat() -> tuple[Part, ...]:
    return (
        (_box(-0.07, -1, 0.07, 0.3), 0.2),
        (_points(0.1, -0.95, 0.85, 0.18, 0.1, 0.18), 1.0),
        (_points(-0.1, -0.6, -0.1, 0.18, -0.6, 0.18), 0.75),
        (_points(-1, 0.32, 1, 0.32, 0.6, 0.9, -0.6, 0.9), 0.6),
    )


def _flower() -> tuple[Part, ...]:
    petals = tuple(
        (_ellipse(0.52 * math.cos(a), -0.3 + 0.52 * math.sin(a), 0.33, 0.33), 1.0) for a in np.arange(6) * np.pi / 3
    )
    return ((_box(-0.07, 0, 0.07, 1), 0.4), *petals, (_ellipse(0, -0.3, 0.27, 0.27), 0.35))


def _mushroom() -> tuple[Part, ...]:
    t = np.linspace(np.pi, 2 * np.pi, 30)
    cap = np.stack([np.cos(t), 0.1 + 1.05 * np.sin(t)], 1)
    return ((_points(-0.26, 0.05, 0.26, 0.05, 0.36, 0.95, -0.36, 0.95), 0.55), (cap, 1.0))


def _cup() -> tuple[Part, ...]:
    return (
        (_ellipse(0.55, 0.05, 0.43, 0.45), 0.7),
        (_ellipse(0.55, 0.05, 0.2, 0.22), -1.0),
        (_points(-0.85, -0.75, 0.5, -0.75, 0.36, 0.85, -0.71, 0.85), 1.0),
        (_ellipse(-0.175, -0.75, 0.67, 0.17), 0.45),
    )


_OBJECTS = {
    "house": _house, "tree": _tree, "fish": _fish, "car": _car,
    "boat": _boat, "flower": _flower, "mushroom": _mushroom, "cup": _cup,
}  # fmt: skip


def _points(*flat: float) -> np.ndarray:
    return np.array(flat, dtype=float).reshape(-1, 2)


def _box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return _points(x0, y0, x1, y0, x1, y1, x0, y1)


def _ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1)


def _star(tips: int, inner: float) -> np.ndarray:
    t = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    radius = np.where(np.arange(2 * tips) % 2 == 0, 1.05, inner)
    return np.stack([radius * np.cos(t), radius * np.sin(t)], 1)


def _texture(name: str, side: int, rng: np.random.Generator) -> np.ndarray | float:
    """A factor on the shade, (side, side): 1 is the plain color."""
    if name == "solid":
        return 1.0
    dx, dy = rng.integers(0, 8, 2)
    y, x = np.mgrid[dy : dy + side, dx : dx + side]
    if name == "striped":
        dark = (x + y) % 7 < 3
    elif name == "dotted":
        dark = ((x % 6 - 2) ** 2 + (y % 6 - 2) ** 2) < 3
    elif name == "checkered":
        dark = (x // 4 + y // 4) % 2 == 0
    else:
        dark = rng.random((side, side)) < 0.4
    return np.where(dark, np.float32(_PATTERN_SHADE), np.float32(1))


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return x, y


def _background(name: str, rng: np.random.Generator) -> np.ndarray:
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
