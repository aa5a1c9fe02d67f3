"""Shapes and textures outside the world: a model of the world can only learn them by example."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headroles.shapes.items import Part, box, ellipse, points

_DARK = np.float32(0.35)


def _flag() -> tuple[Part, ...]:
    return ((box(-0.8, -1, -0.62, 1), 0.5), (points(-0.62, -0.95, 0.9, -0.95, 0.5, -0.45, 0.9, 0.05, -0.62, 0.05), 1.0))


def _key() -> tuple[Part, ...]:
    return (
        (box(-0.13, -0.2, 0.13, 1), 1.0),
        (box(0.13, 0.45, 0.5, 0.62), 1.0),
        (box(0.13, 0.8, 0.5, 0.97), 1.0),
        (ellipse(0, -0.5, 0.5, 0.5), 1.0),
        (ellipse(0, -0.5, 0.22, 0.22), -1.0),
    )


def _hammer() -> tuple[Part, ...]:
    return ((box(-0.13, -0.6, 0.13, 1), 0.55), (points(-0.8, -1, 0.55, -1, 0.95, -0.55, -0.8, -0.45), 1.0))


def _ladder() -> tuple[Part, ...]:
    rungs = tuple((box(-0.45, y, 0.45, y + 0.16), 0.8) for y in (-0.8, -0.35, 0.1, 0.55))
    return (*rungs, (box(-0.62, -1, -0.4, 1), 1.0), (box(0.4, -1, 0.62, 1), 1.0))


def _umbrella() -> tuple[Part, ...]:
    t = np.linspace(np.pi, 2 * np.pi, 30)
    roof = np.stack([np.cos(t), -0.02 + 0.9 * np.sin(t)], 1)
    return ((box(-0.08, -0.1, 0.08, 0.9), 0.5), (box(-0.45, 0.76, 0.08, 0.92), 0.5), (roof, 1.0))


def _leaf() -> tuple[Part, ...]:
    t = np.linspace(0, np.pi, 20)
    side = np.stack([0.55 * np.sin(t), np.linspace(-1, 0.7, 20)], 1)
    blade = np.concatenate([side, side[::-1] * np.array([-1, 1])])
    return ((box(-0.06, 0.4, 0.06, 1), 0.45), (blade, 1.0), (box(-0.04, -0.7, 0.04, 0.7), 0.45))


def _drop() -> tuple[Part, ...]:
    t = np.linspace(-0.25 * np.pi, 1.25 * np.pi, 30)
    return ((np.concatenate([np.stack([0.68 * np.cos(t), 0.3 + 0.68 * np.sin(t)], 1), points(0, -1)]), 1.0),)


def _bell() -> tuple[Part, ...]:
    t = np.linspace(np.pi, 2 * np.pi, 20)
    dome = np.stack([0.52 * np.cos(t), -0.35 + 0.6 * np.sin(t)], 1)
    return ((ellipse(0, 0.78, 0.22, 0.2), 0.4), (np.concatenate([dome, points(0.95, 0.7, -0.95, 0.7)]), 1.0))


SIGNS: dict[str, tuple[Part, ...]] = {
    "arrow": ((points(0, -1, 0.8, -0.1, 0.28, -0.1, 0.28, 1, -0.28, 1, -0.28, -0.1, -0.8, -0.1), 1.0),),
    "bell": _bell(),
    "bolt": ((points(0.25, -1, -0.65, 0.2, -0.05, 0.2, -0.3, 1, 0.65, -0.3, 0.05, -0.3, 0.55, -1), 1.0),),
    "diamond": ((points(0, -1, 0.62, 0, 0, 1, -0.62, 0), 1.0),),
    "drop": _drop(),
    "flag": _flag(),
    "hammer": _hammer(),
    "hourglass": ((points(-0.75, -1, 0.75, -1, 0.1, 0, 0.75, 1, -0.75, 1, -0.1, 0), 1.0),),
    "key": _key(),
    "ladder": _ladder(),
    "leaf": _leaf(),
    "umbrella": _umbrella(),
}
"""Word -> the polygons of a shape that the world does not have."""


def _rings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) % 8 < 4


def _rays(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.arctan2(y, x) % (np.pi / 4) < np.pi / 8


def _zigzag(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y + np.abs(x % 12 - 6)) % 10 < 4


def _bricks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y % 7 < 2) | ((x + 6 * (y // 7 % 2)) % 12 < 2)


def _dashes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y % 7 < 3) & ((x + 6 * (y // 7 % 2)) % 12 < 7)


FABRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "bricked": _bricks,
    "dashed": _dashes,
    "halved": lambda x, y: x < 0,
    "latticed": lambda x, y: (x % 8 < 2.5) | (y % 8 < 2.5),
    "pinstriped": lambda x, y: x % 5 < 2,
    "quartered": lambda x, y: (x < 0) != (y < 0),
    "rayed": _rays,
    "rimmed": lambda x, y: np.hypot(x, y) > 10,
    "ringed": _rings,
    "banded": lambda x, y: y % 14 < 7,
    "diamonded": lambda x, y: np.abs(x % 14 - 7) + np.abs(y % 14 - 7) < 4.5,
    "zigzag": _zigzag,
}
"""Word -> where a texture that the world does not have is dark, of coordinates from the item's center in pixels."""


def draw_fabric(name: str, side: int) -> np.ndarray:
    """A factor on the shade, (side, side): 1 is the plain color."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.where(FABRICS[name](x, y), _DARK, np.float32(1))
