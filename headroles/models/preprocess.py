"""Preprocess: what a model does to a picture before it looks, and where that was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

_LONG = 16
"""A side so many times as long as the other is cut before resizing, where what is cut would be cropped afterwards."""
_KEPT = 8
"""How many short sides are kept of it: more than the crop and the reach of the resampling filter."""


@dataclass(frozen=True)
class Preprocess:
    """PIL image -> pixels (3, height, width); an object and not a closure, so that worker processes can take it."""

    processor: Callable
    """An image processor of transformers."""
    source: str = ""
    """Where its settings were found."""

    def __call__(self, image: Image.Image) -> Tensor:
        image = crop_long(image, self.processor)
        return self.processor(images=image, return_tensors="pt").pixel_values[0]

    def describe(self) -> str:
        """Sizes and steps in one line, and where they were found."""
        return describe_processor(self.processor) + (f", from {self.source}" if self.source else "")


def describe_preprocess(preprocess: Any) -> tuple[str, str]:
    """What any preprocessing does, as far as it says so, and where its settings were found."""
    if isinstance(preprocess, Preprocess):
        return describe_processor(preprocess.processor), preprocess.source
    return "none" if preprocess is None else type(preprocess).__name__, ""


def crop_long(image: Image.Image, processor: Any) -> Image.Image:
    """The middle of a very long picture, where the processor would resize all of it and keep the middle alone.

    A picture of 1 x 3000 would become 224 x 672,000 on its way.
    """
    size, crop = getattr(processor, "size", None), getattr(processor, "crop_size", None)
    short, long = sorted(image.size)
    if not getattr(processor, "do_center_crop", False) or not getattr(processor, "do_resize", True) or not short:
        return image
    edge, kept = _get(size, "shortest_edge"), max(_get(crop, "height") or 0, _get(crop, "width") or 0)
    if not edge or long <= _LONG * short or kept > 4 * edge:
        return image
    length = _KEPT * short + (long - _KEPT * short) % 2  # As even or odd as before: the middle stays where it is.
    start = (long - length) // 2
    box = (start, 0, start + length, short) if image.width == long else (0, start, short, start + length)
    return image.crop(box)


def describe_processor(processor: Any) -> str:
    """Such as CLIPImageProcessor: shortest edge 224, bicubic, crop 224 x 224."""
    parts = []
    if getattr(processor, "do_resize", False):
        parts.append(_describe_size(getattr(processor, "size", None)))
        filter = getattr(processor, "resample", None)
        if filter is not None:
            parts.append(Image.Resampling(int(filter)).name.lower())
    if getattr(processor, "do_center_crop", False):
        crop = getattr(processor, "crop_size", None)
        parts.append(f"crop {_get(crop, 'height')} x {_get(crop, 'width')}")
    if not getattr(processor, "do_normalize", True):
        parts.append("not normalised")
    name = type(processor).__name__ if not isinstance(processor, type) else processor.__name__
    return f"{name}: {', '.join(parts)}" if parts else name


def _describe_size(size: Any) -> str:
    edge = _get(size, "shortest_edge")
    return f"shortest edge {edge}" if edge else f"{_get(size, 'height')} x {_get(size, 'width')}"


def _get(size: Any, name: str) -> Any:
    """A side of transformers' sizes, which are mappings or objects."""
    return size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
