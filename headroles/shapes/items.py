"""Items as polygons, and how one item is drawn: its coverage and its shade, pixel by pixel."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

_OUTLINE_SHADE = 0.12
_FAINT = 0.5
_SUPERSAMPLE = 3

Part = tuple[np.ndarray, float]
"""One polygon of an item: points (n, 2) in [-1, 1], y downwards, and its shade in [0, 1]; below 0 it cuts a hole."""


def side_of(diameter: float) -> int:
    """Side, in pixels, of the square that an item of this diameter is drawn in."""
    return math.ceil(diameter * 1.2) + 2


def draw_silhouette(
    parts: tuple[Part, ...], diameter: float, angle: float, outline: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and shade, each float32 (side, side) in [0, 1], of an item drawn with anti-aliasing.

    `angle` is in radians, clockwise; `outline` draws contours in full shade, faintly filled.
    """
    side = side_of(diameter)
    big = side * _SUPERSAMPLE
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turn *= diameter / 2 * _SUPERSAMPLE
    image = Image.new("LA", (big, big), (0, 0))
    draw = ImageDraw.Draw(image)
    line, width = (_ink(1.0), 2 * _SUPERSAMPLE) if outline else (_ink(_OUTLINE_SHADE), _SUPERSAMPLE)
    for corners, shade in parts:
        contour = [tuple(point) for point in corners @ turn + big / 2]
        draw.polygon(contour, fill=(0, 0) if shade < 0 else _ink(shade, _FAINT if outline else 1.0))
        draw.line([*contour, contour[0]], fill=line, width=width)
    planes = np.asarray(image, dtype=np.float32).reshape(side, _SUPERSAMPLE, side, _SUPERSAMPLE, 2).mean((1, 3)) / 255
    alpha = planes[..., 1]
    return alpha, planes[..., 0] / np.maximum(alpha, 1e-3)


def _ink(shade: float, coverage: float = 1.0) -> tuple[int, int]:
    """A pixel of an LA image, shade premultiplied by coverage."""
    return round(255 * shade * coverage), round(255 * coverage)


@cache
def parts_of(item: str) -> tuple[Part, ...]:
    """The polygons of a shape or object of the world, back to front."""
    if item == "circle":
        return ((ellipse(0, 0, 1, 1), 1.0),)
    if item == "square":
        return ((box(-0.85, -0.85, 0.85, 0.85), 1.0),)
    if item == "triangle":
        return ((points(0, -1, 0.98, 0.8, -0.98, 0.8), 1.0),)
    if item == "star":
        return ((_star(5, 0.42), 1.0),)
    if item == "heart":
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        x = np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 15
        return ((np.stack([x, y], 1), 1.0),)
    if item == "cross":
        a = 0.34
        return ((points(-a, -1, a, -1, a, -a, 1, -a, 1, a, a, a, a, 1, -a, 1, -a, a, -1, a, -1, -a, -a, -a), 1.0),)
    if item == "ring":
        return ((ellipse(0, 0, 1, 1), 1.0), (ellipse(0, 0, 0.52, 0.52), -1.0))
    if item == "crescent":
        t = np.linspace(0.25 * np.pi, 1.75 * np.pi, 40)
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        inner = np.stack([0.5 + 0.74 * np.cos(t[::-1]), 0.74 * np.sin(t[::-1])], 1)
        return ((np.concatenate([outer, inner]) + np.array([0.12, 0]), 1.0),)
    return _OBJECTS[item]()


def _house() -> tuple[Part, ...]:
    return (
        (box(-0.72, -0.12, 0.72, 0.95), 1.0),
        (points(-1, -0.12, 0, -1, 1, -0.12), 0.6),
        (box(-0.2, 0.35, 0.22, 0.95), 0.3),
    )


def _tree() -> tuple[Part, ...]:
    return (
        (box(-0.16, 0.4, 0.16, 1), 0.4),
        (points(0, -0.35, 0.85, 0.6, -0.85, 0.6), 1.0),
        (points(0, -1, 0.62, 0.02, -0.62, 0.02), 1.0),
    )


def _fish() -> tuple[Part, ...]:
    return (
        (points(0.35, 0, 1, -0.55, 1, 0.55), 0.65),
        (ellipse(-0.22, 0, 0.76, 0.52), 1.0),
        (ellipse(-0.58, -0.12, 0.1, 0.1), 0.12),
    )


def _car() -> tuple[Part, ...]:
    return (
        (points(-0.6, -0.1, -0.38, -0.6, 0.38, -0.6, 0.66, -0.1), 0.6),
        (box(-1, -0.1, 1, 0.4), 1.0),
        (ellipse(-0.52, 0.42, 0.27, 0.27), 0.2),
        (ellipse(0.52, 0.42, 0.27, 0.27), 0.2),
    )


def _boat() -> tuple[Part, ...]:
    return (
        (box(-0.07, -1, 0.07, 0.3), 0.2),
        (points(0.1, -0.95, 0.85, 0.18, 0.1, 0.18), 1.0),
        (points(-0.1, -0.6, -0.1, 0.18, -0.6, 0.18), 0.75),
        (points(-1, 0.32, 1, 0.32, 0.6, 0.9, -0.6, 0.9), 0.6),
    )


def _flower() -> tuple[Part, ...]:
    petals = tuple(
        (ellipse(0.52 * math.cos(a), -0.3 + 0.52 * math.sin(a), 0.33, 0.33), 1.0) for a in np.arange(6) * np.pi / 3
    )
    return ((box(-0.07, 0, 0.07, 1), 0.4), *petals, (ellipse(0, -0.3, 0.27, 0.27), 0.35))


def _mushroom() -> tuple[Part, ...]:
    t = np.linspace(np.pi, 2 * np.pi, 30)
    cap = np.stack([np.cos(t), 0.1 + 1.05 * np.sin(t)], 1)
    return ((points(-0.26, 0.05, 0.26, 0.05, 0.36, 0.95, -0.36, 0.95), 0.55), (cap, 1.0))


def _cup() -> tuple[Part, ...]:
    return (
        (ellipse(0.55, 0.05, 0.43, 0.45), 0.7),
        (ellipse(0.55, 0.05, 0.2, 0.22), -1.0),
        (points(-0.85, -0.75, 0.5, -0.75, 0.36, 0.85, -0.71, 0.85), 1.0),
        (ellipse(-0.175, -0.75, 0.67, 0.17), 0.45),
    )


_OBJECTS = {
    "house": _house, "tree": _tree, "fish": _fish, "car": _car,
    "boat": _boat, "flower": _flower, "mushroom": _mushroom, "cup": _cup,
}  # fmt: skip


def points(*flat: float) -> np.ndarray:
    """Corners (n, 2) from x0, y0, x1, y1 ..."""
    return np.array(flat, dtype=float).reshape(-1, 2)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """A rectangle between two corners."""
    return points(x0, y0, x1, y0, x1, y1, x0, y1)


def ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """An ellipse around (x, y)."""
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1)


def _star(tips: int, inner: float) -> np.ndarray:
    t = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    radius = np.where(np.arange(2 * tips) % 2 == 0, 1.05, inner)
    return np.stack([radius * np.cos(t), radius * np.sin(t)], 1)
