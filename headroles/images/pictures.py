"""Pictures in memory: given by a user, restored from what a model saw, or kept as text inside a result."""

from __future__ import annotations

import io
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
from headroles.images.fingerprints import take_pixels
from headroles.images.images import UNREADABLE, Images, Preprocess, open_files, open_image, to_rgb

Picture: TypeAlias = "Image.Image | ndarray"
"""A PIL image, or an array (height, width) or (height, width, 3 or 4) of bytes, or of numbers in [0, 1]."""
Given: TypeAlias = "str | os.PathLike[str] | Picture | Images | Sequence[str | os.PathLike[str] | Picture]"
"""Image files and folders, pictures, or images that are open already."""


@dataclass
class Pictures(Dataset):
    """Pictures that a user holds in memory, as a data set."""

    pictures: Sequence[Picture]
    preprocess: Preprocess | None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        assert self.preprocess is not None
        picture = to_picture(self.pictures[index])
        take_pixels(np.asarray(picture))
        return index, self.preprocess(picture)

    def name(self, index: int) -> str:
        """Its number, from 1."""
        return f"picture {index + 1}"

    def fingerprint(self) -> str:
        """Their bytes."""
        return "|".join(encode_picture(to_picture(each)) for each in self.pictures)


def open_given(images: Given) -> Images:
    """Files, folders or pictures, not yet as a model wants them (`with_preprocess`); or images as they are.

    Raises InputError where a file lacks, or files and pictures are mixed.
    """
    if isinstance(images, (str, os.PathLike, Image.Image, ndarray)):
        return open_given([images])
    if not isinstance(images, (list, tuple)):
        if not callable(getattr(images, "fingerprint", None)):
            raise InputError(
                f"images: expected files, folders, PIL images, arrays or opened images, got a {type(images).__name__}"
            )
        return cast(Images, images)
    if all(isinstance(each, (str, os.PathLike)) for each in images):
        return open_files(images, None)
    if any(isinstance(each, (str, os.PathLike)) for each in images):
        raise InputError("images: files and pictures are mixed; give either paths, or PIL images and arrays")
    return Pictures([to_picture(each) for each in images], None)


def is_open(images: Given) -> bool:
    """Whether these are images that already know how their model wants them."""
    return not isinstance(images, (str, os.PathLike, Image.Image, ndarray, list, tuple))


def to_picture(picture: Picture) -> Image.Image:
    """8-bit RGB of a PIL image or an array; InputError for anything else."""
    if isinstance(picture, Image.Image):
        return _to_rgb(picture)
    array = np.asarray(picture)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
        raise InputError(f"images: a picture must be (height, width) or (height, width, 3 or 4), got {array.shape}")
    if not array.size:
        raise InputError(f"images: a picture must have pixels, got an array of shape {array.shape}")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):  # Also for NaN.
            raise InputError(f"images: an array must hold bytes, or numbers in [0, 1]; got {array.dtype}")
        array = (array * 255).round().astype(np.uint8)
    return to_rgb(Image.fromarray(array))


def _to_rgb(picture: Image.Image) -> Image.Image:
    try:
        return to_rgb(picture)
    except UNREADABLE as error:
        raise InputError(f"images: a picture of mode {picture.mode} cannot be read: {said(error)}") from error


def restore(pixels: Float[Tensor, "3 height width"], preprocess: Preprocess | None) -> Float[ndarray, "height width 3"]:
    """Preprocessed pixels as a picture in [0, 1]: the processor's mean and deviation undone, or stretched."""
    values = pixels.float().permute(1, 2, 0).numpy()
    processor: Any = getattr(preprocess, "processor", None)
    if getattr(processor, "image_mean", None) is not None and getattr(processor, "do_normalize", True):
        values = values * np.array(processor.image_std) + np.array(processor.image_mean)
    elif values.min() < 0 or values.max() > 1:
        values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    return np.clip(values, 0, 1)


def encode_pixels(pixels: Float[Tensor, "3 height width"], preprocess: Preprocess | None) -> str:
    """What a model saw, as `encode_picture` keeps it."""
    return encode_picture(Image.fromarray((restore(pixels.cpu(), preprocess) * 255).round().astype(np.uint8)))


def encode_picture(picture: Image.Image) -> str:
    """PNG in base64, so that a result can hold a picture; `decode_picture` gives every pixel back."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return b64encode(content.getvalue()).decode()


def decode_picture(text: str) -> UInt8[ndarray, "height width 3"]:
    """The opposite of `encode_picture`."""
    return np.asarray(open_image(io.BytesIO(b64decode(text))))
