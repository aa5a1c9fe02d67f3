"""Domain shifts: the same picture, otherwise rendered. Each keeps what a person needs to name the class."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from headroles.shapes.render import Picture, paint

Pixels = np.ndarray
"""uint8 (64, 64, 3)."""


@dataclass(frozen=True)
class Shift:
    """One way to render pictures unlike the world's."""

    summary: str
    """One line for lists."""
    hides: frozenset[str] = frozenset()
    """Concepts that can no longer be told after it: tasks whose classes show one of these refuse the shift."""
    redraw: Callable[[Picture], Picture] = lambda picture: picture
    """What it does before painting."""
    repaint: Callable[[Pixels, np.random.Generator], Pixels] = lambda pixels, rng: pixels
    """What it does to the pixels."""

    def render(self, picture: Picture, rng: np.random.Generator) -> Pixels:
        """The shifted picture's pixels, uint8 (64, 64, 3)."""
        return self.repaint(paint(self.redraw(picture))[0], rng)


def _outline(picture: Picture) -> Picture:
    items = tuple(dataclasses.replace(item, outline=True) for item in picture.items)
    return dataclasses.replace(picture, items=items)


def _add_noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(pixels + rng.normal(0, 32, pixels.shape), 0, 255).astype(np.uint8)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.8)))


def _grey(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _darken(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return (pixels * np.float32(0.4)).astype(np.uint8)


def _compress(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=12)
    return np.asarray(Image.open(file))


def _rule(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Every fourth row black, as on an old screen; the rows' phase is random."""
    ruled = pixels.copy()
    ruled[int(rng.integers(4)) :: 4] = 0
    return ruled


SHIFTS: dict[str, Shift] = {
    "outline": Shift("contours in color, faintly filled", frozenset({"texture"}), redraw=_outline),
    "noise": Shift("strong sensor noise", repaint=_add_noise),
    "blur": Shift("out of focus", repaint=_blur),
    "jpeg": Shift("strong JPEG compression", repaint=_compress),
    "lines": Shift("every fourth row is black", repaint=_rule),
    "invert": Shift(
        "inverted palette, as a negative",
        frozenset({"color", "background", "brightness"}),
        repaint=lambda pixels, rng: 255 - pixels,
    ),
    "grey": Shift("no colors", frozenset({"color"}), repaint=_grey),
    "dark": Shift("little light", frozenset({"brightness"}), repaint=_darken),
}
"""Name -> shift."""
