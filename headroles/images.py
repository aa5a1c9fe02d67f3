"""Images for a pass over a model: a folder of files or rendered scenes, as preprocessed batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headroles.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that are no whole picture."""

Preprocess = Callable[[Image.Image], Float[Tensor, "3 height width"]]


def open_image(path: str | os.PathLike) -> Image.Image:
    """The file as upright 8-bit RGB: EXIF rotation applied, any mode converted, transparency laid on white.

    Raises one of `UNREADABLE` where there is no whole picture to read.
    """
    with Image.open(path) as image:
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image of any mode."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        levels = np.asarray(image, dtype=np.float64)
        full = 65535 if image.mode.startswith("I") and levels.max(initial=0) > 255 else 255
        image = Image.fromarray(np.clip(levels * (255 / full), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def find_images(folder: str | os.PathLike) -> list[Path]:
    """All image files below a folder, sorted by path; hidden files and folders are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"images: {folder} is no folder; give a folder of images, or shapes for rendered scenes")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise InputError(f"images: no image file below {folder}; expected files ending in {', '.join(SUFFIXES)}")
    return found


@dataclass
class ImageFiles(Dataset):
    """Image files in a given order; a broken one yields its error text in place of pixels."""

    paths: Sequence[Path]
    preprocess: Preprocess
    folder: Path
    """Names are given below this folder."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        try:
            return index, self.preprocess(open_image(self.paths[index]))
        except UNREADABLE as error:
            return index, f"{type(error).__name__}: {error}"

    def name(self, index: int) -> str:
        """Where the file is, below the folder."""
        return Path(os.path.relpath(self.paths[index], self.folder)).as_posix()


class FolderImages(ImageFiles):
    """The image files below a folder, sorted by path; `limit`: only so many, spread evenly over them."""

    def __init__(self, folder: Path, preprocess: Preprocess, limit: int | None = None) -> None:
        paths = find_images(folder)
        if limit is not None and limit < len(paths):
            paths = [paths[number * len(paths) // limit] for number in range(limit)]
        super().__init__(paths, preprocess, Path(folder))


def open_files(places: Sequence[str | os.PathLike], preprocess: Preprocess) -> ImageFiles:
    """Files, and all images of folders, in the given order; named below the folder that holds them all."""
    paths: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise InputError(f"image: there is no {place}; give an image file or a folder of images")
        paths += find_images(place) if place.is_dir() else [place]
    return ImageFiles(paths, preprocess, Path(os.path.commonpath([path.resolve().parent for path in paths])))


@dataclass
class ShapesImages(Dataset):
    """Rendered scenes of the shapes world, all concept combinations."""

    preprocess: Preprocess
    count: int
    seed: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        from headroles.shapes import render, sample_scene

        return index, self.preprocess(Image.fromarray(render(sample_scene(self.seed, index))))

    def name(self, index: int) -> str:
        """The scene's number."""
        return f"scene {index}"


Batch = tuple[Int[Tensor, "image"], Float[Tensor, "image 3 height width"], list[tuple[int, str]]]
"""Indices and pixels of the readable images, then (index, error) of the broken ones."""


def batches(images: ImageFiles | ShapesImages, size: int, workers: int = 0) -> Iterator[Batch]:
    """Batches in order; with `workers` > 0 they are decoded in as many processes."""
    return iter(DataLoader(images, batch_size=size, num_workers=workers, collate_fn=_collate))


def _collate(items: list[tuple[int, Tensor | str]]) -> Batch:
    whole = [(index, pixels) for index, pixels in items if isinstance(pixels, Tensor)]
    broken = [(index, error) for index, error in items if isinstance(error, str)]
    pixels = torch.stack([pixels for _, pixels in whole]) if whole else torch.empty(0)
    return torch.tensor([index for index, _ in whole], dtype=torch.long), pixels, broken
