"""Pictures of more than 8 bits: their scale comes from mode and tags, never from the brightest pixel of one picture."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Modes of one channel that hold more than bytes."""
_BITS, _PHOTOMETRIC, _MAX, _FORMAT, _TYPED_MAX = 258, 262, 281, 339, 341
"""TIFF tags."""
_DEPTHS = tuple(2.0**bits - 1 for bits in range(1, 33))
"""What a full scale can be; another "largest value" in the tags is that of one picture."""


class ImageNote(UserWarning):
    """Something about how images were read that their user should know."""


def to_levels(image: Image.Image) -> UInt8[ndarray, "height width"]:
    """Bytes of a picture of a `DEEP` mode; ValueError where its values lie beyond its scale."""
    full, known = find_scale(image)
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    slack = 0.001 * full if image.mode == "F" else 0  # Resampled floats reach a little beyond.
    if not (low >= -slack and high <= full + slack):  # Also where there is a NaN.
        raise ValueError(
            f"values from {low:g} to {high:g} do not fit the scale 0 to {full:g} of mode {image.mode} "
            f"{'by its tags' if known else 'without a tag that says another'}; save it with 8 or 16 bits"
        )
    if not known:
        kind = "floating-point" if image.mode == "F" else f"{image.mode} {image.format or ''}".strip()
        warnings.warn(f"{kind} pictures do not say their scale: 0 is black and {full:g} white", ImageNote, stacklevel=2)
    levels = np.clip(values * (255 / full), 0, 255)
    return (255 - levels if _tag(image, _PHOTOMETRIC) == 0 else levels).astype(np.uint8)


def find_scale(image: Image.Image) -> tuple[float, bool]:
    """(the value that is white, whether the file says so)."""
    for tag in (_TYPED_MAX, _MAX):
        stated = _tag(image, tag)
        if isinstance(stated, (int, float)) and (stated in _DEPTHS) and (image.mode == "F" or stated > 1):
            return float(stated), True
    if image.mode == "F":
        return 1.0, False
    bits, kind = _tag(image, _BITS), _tag(image, _FORMAT)
    if isinstance(bits, int) and bits <= 16:
        # Scanners and cameras keep 10, 12 or 14 bits in 16 without a word.
        return float(2 ** (bits - (kind == 2)) - 1), bits < 16
    return 65535.0, image.mode != "I" or image.format in ("PNG", "PPM", "JPEG2000")


def _tag(image: Image.Image, tag: int) -> Any:
    """A TIFF tag's first value; None where there is none."""
    try:
        value = getattr(image, "tag_v2", {}).get(tag)
    except Exception:  # Of any kind: tags are typed by the file.
        return None
    return (value[0] if value else None) if isinstance(value, tuple) else value
