"""OpenCLIP's and OpenAI's image preprocessing as an image processor of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headroles.errors import InputError

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Of OpenAI's images, red, green, blue in [0, 1]."""
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's images."""
_RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "random": Image.Resampling.BICUBIC,
}
"""random: in training; OpenCLIP takes bicubic when it tests."""
_OPTIONS = ("mean", "std", "interpolation", "resize_mode", "size", "mode", "fill_color")


def build_processor(options: Mapping[str, Any], side: int, source: str) -> CLIPImageProcessorPil:
    """The processor of a preprocess_cfg; what it leaves out is OpenAI's, as in OpenCLIP.

    Raises InputError, by name, for an option that the processor cannot express.
    """
    unknown = options.keys() - {*_OPTIONS}
    if unknown:
        raise InputError(f"model: {source} has the option preprocess_cfg.{min(unknown)}, which headroles does not know")
    interpolation, resize = options.get("interpolation") or "bicubic", options.get("resize_mode") or "shortest"
    for name, value, known in (
        ("interpolation", interpolation, _RESAMPLING),
        ("resize_mode", resize, ("shortest", "squash")),
        ("mode", options.get("mode") or "RGB", ("RGB",)),
        ("size", _side(options.get("size") or side), (side,)),
    ):
        if value not in known:
            raise InputError(
                f"model: {source} sets preprocess_cfg.{name} to {value!r}; expected {' or '.join(map(str, known))}"
            )
    square = {"height": side, "width": side}
    return CLIPImageProcessorPil(
        size={"shortest_edge": side} if resize == "shortest" else square,
        crop_size=square,
        do_center_crop=resize == "shortest",
        resample=_RESAMPLING[interpolation],
        image_mean=_channels(options, "mean", MEAN, source),
        image_std=_channels(options, "std", STD, source),
    )


def _side(size: Any) -> Any:
    sides = set(size[-2:]) if isinstance(size, list) else {size}
    return sides.pop() if len(sides) == 1 else str(size)


def _channels(options: Mapping[str, Any], name: str, default: tuple[float, ...], source: str) -> list[float]:
    given = options.get(name) or default
    values = [given] * 3 if isinstance(given, int | float) else list(given)
    if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise InputError(f"model: {source} sets preprocess_cfg.{name} to {given!r}; expected three numbers")
    return [float(value) for value in values]
