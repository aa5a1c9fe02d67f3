"""An image file as upright 8-bit RGB: pixels that can be read are read, whatever the file says beside them."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from jaxtyping import Float
from PIL import Image, ImageCms
from torch import Tensor

from headroles.errors import InputError, said
from headroles.images.bare import strip_metadata
from headroles.images.decoders import overheard
from headroles.images.deep import DEEP, to_levels
from headroles.images.fingerprints import take

UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What `open_image` raises for files that are no whole picture."""

Preprocess = Callable[[Image.Image], Float[Tensor, "3 height width"]]

MAX_PIXELS = 200_000_000
"""Larger pictures are refused, unless `MAX_PIXELS_VARIABLE` says another number: a small file may claim to be huge."""
MAX_PIXELS_VARIABLE = "HEADROLES_MAX_PIXELS"
"""Environment variable, so that processes that decode images know it too; `--max-pixels` sets it."""
_LARGEST = 2**32
"""Bytes of a file that is read, whole: a TIFF file cannot be larger."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""
_NO_PICTURES = ("EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR")
"""Formats that Pillow knows by name alone, or would give to another program."""


def open_image(path: str | os.PathLike | BinaryIO) -> Image.Image:
    """The file as upright 8-bit RGB: EXIF rotation applied, any mode converted, transparency laid on white.

    Metadata that cannot be read are passed over. Raises one of `UNREADABLE` where there is no whole picture to read.
    """
    content = _read(path)
    take(content)
    try:
        return _decode(_Named(content, path))
    except Image.DecompressionBombError:
        raise
    except Exception as error:
        mistake = error if isinstance(error, UNREADABLE) else OSError(f"{type(error).__name__}: {said(error)}")
    for bare in strip_metadata(content):
        try:
            return _decode(io.BytesIO(bare), end=False)
        except Exception:
            continue
    raise mistake


def read_pixels(file: str | os.PathLike | BinaryIO, preprocess: Preprocess) -> Tensor | str:
    """Pixels of an image file, or what is wrong with it."""
    try:
        return preprocess(open_image(file))
    except UNREADABLE as error:
        return f"{type(error).__name__}: {said(error)}"


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image of any mode; ValueError where a deep picture's values fit no scale."""
    if image.mode in DEEP:
        image = Image.fromarray(to_levels(image))
    if image.mode == "LAB":
        lab, rgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
        assert converted is not None  # It is None only where the image is changed in place.
        return converted
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def max_pixels() -> int:
    """The largest picture that is opened, width times height."""
    text = os.environ.get(MAX_PIXELS_VARIABLE, str(MAX_PIXELS))
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{MAX_PIXELS_VARIABLE}: expected a number of pixels from 1 on, got {text!r}; unset it")
    return int(text)


@cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read, the common ones first."""
    Image.init()
    return tuple(name for name in Image.ID if name in Image.OPEN and name not in _NO_PICTURES)


@cache
def suffixes() -> tuple[str, ...]:
    """Endings of the files that Pillow can open here, in lower case."""
    readable, known = set(formats()), Image.registered_extensions()
    return tuple(sorted(suffix for suffix, name in known.items() if name in readable))


def name_suffixes() -> str:
    """Some of `suffixes`, and how many there are."""
    return f".jpg, .png, .webp, .tif, .avif or another of the {len(suffixes())} that Pillow opens"


class _Named(io.BytesIO):
    """Bytes that Pillow's messages call as the file that they come from, or not at all."""

    def __init__(self, content: bytes, path: str | os.PathLike | BinaryIO) -> None:
        super().__init__(content)
        self.called = repr(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else ""

    def __repr__(self) -> str:
        return self.called


def _decode(file: BinaryIO, end: bool = True) -> Image.Image:
    """Upright RGB; `end`: with what Pillow does for metadata once the pixels are read."""
    with overheard(), _limited(), Image.open(file, formats=formats()) as image:
        if not end and image.format == "TIFF":
            image.load_end = lambda: None  # type: ignore[method-assign]  # A wrongly typed tag ends it.
        image.load()
        turn = _TURNS.get(_orientation(image))
        upright = to_rgb(image)
        return upright if turn is None else upright.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # Of any kind: entries are typed by the file.
        return 1
    return value if isinstance(value, int) else 1


@contextmanager
def _limited() -> Iterator[None]:
    """Pillow's limit of pixels is ours meanwhile, and an error, not a warning."""
    before, limit = Image.MAX_IMAGE_PIXELS, max_pixels()
    Image.MAX_IMAGE_PIXELS = limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        claimed = str(error).partition("(")[2].partition(" ")[0]
        raise Image.DecompressionBombError(
            f"{claimed} pixels, more than the limit of {limit}; --max-pixels or {MAX_PIXELS_VARIABLE} raises it"
        ) from None
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _read(path: str | os.PathLike | BinaryIO) -> bytes:
    """All bytes; OSError for a pipe, a device or a socket, which would be waited for."""
    if not isinstance(path, (str, os.PathLike)):
        path.seek(0)
        return path.read()
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{Path(path).name} is no regular file")
    if found.st_size > _LARGEST:
        raise OSError(f"{Path(path).name} has {found.st_size:,} bytes, more than {_LARGEST:,}")
    return Path(path).read_bytes()
