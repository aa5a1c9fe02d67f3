"""A folder's own image preprocessing, exactly as transformers reads it, checked before an image goes through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor

from headroles.errors import InputError, said
from headroles.models.checkpoints.quiet import quiet
from headroles.models.checkpoints.settings import read_settings
from headroles.models.preprocess import Preprocess

FILES = ("preprocessor_config.json", "processor_config.json")
"""The second, newer one, where it has the key image_processor."""
_TILING = ("LlavaNext", "LlavaOnevision", "Gemma3", "Idefics", "SmolVLM", "GotOcr2", "Siglip2", "DINOv3")
"""Beginnings of the processors that cut an image into tiles or patches, or that work with torchvision alone."""
_COLOURS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "resample")
_LARGEST = 8192
"""Pixels of a side; more would not fit in memory, image by image."""
_FILTERS = tuple(map(int, Image.Resampling))
_PICTURES = ((48, 36), (36, 48))
"""Width and height of pictures that are prepared to see what comes out."""


def read_processor(folder: Path) -> tuple[Preprocess, str] | None:
    """The preprocessing in a folder and its file; None where there is no such file.

    InputError where the file cannot be read, has a number that makes no pictures, or gives pictures of several sizes.
    """
    path = _find(folder)
    if path is None:
        return None
    settings = read_settings(path)
    _check_numbers(settings, path)
    _check_steps(settings, path)
    try:
        with quiet():
            processor = AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
    # Settings made by hand fail in many ways.
    except Exception as error:
        raise InputError(
            f"model: {path} is no image preprocessing ({said(error, 200)}); get the model's own file"
        ) from error
    preprocess = Preprocess(processor, str(path))
    shape_of(preprocess, str(path))
    return preprocess, str(path)


def makes_pictures(folder: Path) -> bool:
    """Whether the folder's preprocessing, if any, makes one picture of each image, and not tiles or patches."""
    path = _find(folder)
    return path is None or not str(_own(read_settings(path)).get("image_processor_type")).startswith(_TILING)


def read_numbers(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """What the folder's preprocessing says of colours and filter, and its file; nothing where there is none."""
    path = _find(folder)
    if path is None:
        return {}, None
    settings = read_settings(path)
    _check_numbers(settings, path)
    _check_steps(settings, path)
    return {name: value for name, value in _own(settings).items() if name in _COLOURS and value is not None}, path


def _own(settings: dict[str, Any]) -> dict[str, Any]:
    """The image processor's settings, in either file."""
    inside = settings.get("image_processor", settings)
    return inside if isinstance(inside, dict) else {}


def shape_of(preprocess: Callable[[Image.Image], Tensor], source: str) -> tuple[int, int]:
    """Height and width of all pictures that come out; InputError where they differ or are no three finite channels."""
    try:
        found = [preprocess(Image.new("RGB", size, (120, 80, 40))) for size in _PICTURES]
        shapes = [tuple(pixels.shape) for pixels in found]
        finite = all(bool(torch.isfinite(pixels).all()) for pixels in found)
    except Exception as error:
        reason = f"{type(error).__name__}: {said(error, 200)}"
        raise InputError(f"model: {source} cannot prepare a picture ({reason}); get the model's own file") from error
    if not finite:
        raise InputError(f"model: {source} makes pixels that are no numbers; check image_std and rescale_factor")
    if len(set(shapes)) > 1 or len(shapes[0]) != 3 or shapes[0][0] != 3:
        raise InputError(
            f"model: {source} makes pictures of shapes {' and '.join(map(str, shapes))}; expected 3 channels and one "
            "size for all: give size a height and a width, or crop_size and do_center_crop"
        )
    return shapes[0][1:]


def _find(folder: Path) -> Path | None:
    own, joint = (folder / name for name in FILES)
    if own.is_file():
        return own
    return joint if joint.is_file() and "image_processor" in read_settings(joint) else None


def _check_numbers(settings: Any, path: Path) -> None:
    for name, value in _numbers(settings):
        key = name.rpartition(".")[2]
        if not math.isfinite(value):
            raise InputError(f"model: {path} sets {name} to {value}; expected a finite number")
        if key in ("rescale_factor", "image_std") and value <= 0:
            raise InputError(f"model: {path} sets {name} to {value}; expected a number above 0")
        if ("size" in name or "edge" in key) and not (value == int(value) and 1 <= value <= _LARGEST):
            raise InputError(f"model: {path} sets {name} to {value}; expected pixels, 1 to {_LARGEST}")


def _check_steps(settings: Any, path: Path) -> None:
    """What is done to a picture, or not, and by which filter."""
    own = settings.get("image_processor", settings) if isinstance(settings, dict) else {}
    for name, value in own.items() if isinstance(own, dict) else ():
        if name.startswith("do_") and not (value is None or isinstance(value, bool)):
            raise InputError(f"model: {path} sets {name} to {value!r}; expected true or false")
        if name == "resample" and not (value is None or (value in _FILTERS and type(value) is int)):
            raise InputError(f"model: {path} sets resample to {value!r}; expected a number of Pillow's, 0 to 5")


def _numbers(settings: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number, with its place."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from _numbers(value, f"{name}.{key}".removeprefix("."))
    elif isinstance(settings, list):
        for value in settings:
            yield from _numbers(value, name)
    elif isinstance(settings, int | float) and not isinstance(settings, bool):
        yield name, settings
