"""Images for a pass over a model: files or rendered scenes, as preprocessed batches. More kinds are in `sources`."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headroles.errors import InputError
from headroles.files.packed_paths import Computed, PackedNames, PackedPaths
from headroles.images.counting import counted
from headroles.images.fingerprints import take_pixels
from headroles.images.groups import folder_names
from headroles.images.notes import Remarked, tell
from headroles.images.pixels import UNREADABLE as UNREADABLE
from headroles.images.pixels import Preprocess as Preprocess
from headroles.images.pixels import name_suffixes, read_pixels
from headroles.images.pixels import open_image as open_image
from headroles.images.pixels import to_rgb as to_rgb
from headroles.images.walk import list_images as list_images


def undecided(image: Image.Image) -> Tensor:
    """The preprocessing of images that were found before it is known how a model wants its pixels."""
    raise RuntimeError("images were read before a model's preprocessing was given to them")


class Images(Protocol):
    """Numbered images. An image's number is its name for all that follows: it never depends on who reads it."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> tuple[int, Tensor | str]:
        """(number, pixels), or (number, error text) where the image is broken."""

    def name(self, number: int) -> str:
        """What to call the image in a message."""

    def fingerprint(self) -> str:
        """Differs where the images, or their order, differ as far as can be told without reading them."""


def find_images(folder: str | os.PathLike, skipped: Counter[str] | None = None) -> list[Path]:
    """All image files below a folder, sorted by path; what is left out, hidden files too, is counted in `skipped`."""
    return list(pack_images(folder, skipped))


def pack_images(folder: str | os.PathLike, skipped: Counter[str] | None = None) -> PackedPaths:
    """`find_images` for millions of files; what is left out is counted in `skipped`."""
    skipped = Counter() if skipped is None else skipped
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"images: {folder} is no folder; give a folder of images, or shapes for rendered scenes",
            page="no-images",
        )
    start = len(os.path.join(folder, ""))
    found = PackedPaths(folder, (path[start:] for path in list_images(folder, skipped)))
    if not found:
        there = f" (left out: {name_counts(skipped)})" if skipped else ""
        raise InputError(
            f"images: no image file below {folder}{there}; expected files ending in {name_suffixes()}",
            page="no-images",
        )
    return found


def printable(name: str) -> str:
    """A name that can be written as UTF-8: the bytes of a file's name that cannot become \\xE9 and the like."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def find_printed(path: Path) -> Path:
    """The file whose path was made `printable`."""
    if path.exists():
        return path
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), os.fsencode(path))
    return Path(os.fsdecode(raw))


def name_counts(counts: Counter[str]) -> str:
    """Such as .txt 3, .heic 1; the commonest six."""
    named = [f"{name} {count:,}" for name, count in counts.most_common(6)]
    return ", ".join(named) + (" ..." if len(counts) > 6 else "")


class Spread(Computed[int]):
    """`length` of `total` numbers, evenly spread, none of them kept in memory."""

    def __init__(self, length: int, total: int) -> None:
        self.length, self.total = length, total

    def __len__(self) -> int:
        return self.length

    def item(self, number: int) -> int:
        """Where the number lies among all."""
        return number * self.total // self.length


def spread(count: int | None, total: int) -> Spread:
    """`count` of `total` numbers; all of them where there are no more."""
    return Spread(total if count is None else min(count, total), total)


@dataclass
class ImageFiles(Dataset):
    """Image files in a given order; a broken one yields its error text in place of pixels."""

    paths: Sequence[Path]
    preprocess: Preprocess
    folder: Path
    """Names are given below this folder."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What lies beside them and is not read, by suffix or by what it is."""
    named: Collection[int] = ()
    """Numbers of those that were asked for by their own names, not with a folder."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        return index, read_pixels(self.paths[index], self.preprocess)

    def name(self, index: int) -> str:
        """Where the file is, below the folder; bytes that are no UTF-8 as \\xE9."""
        return printable(self._below(index))

    def _below(self, index: int) -> str:
        if isinstance(self.paths, PackedPaths) and self.paths.folder == self.folder:
            name = self.paths.names[index]
            if not os.path.isabs(name) and os.path.normpath(name) == name and not name.startswith(".."):
                return name.replace(os.sep, "/")
        return Path(os.path.relpath(self.paths[index], self.folder)).as_posix()

    def fingerprint(self) -> str:
        """A hash of the files' names below the folder."""
        return PackedNames(map(self.name, range(len(self)))).digest()

    def group_names(self, by: str) -> Iterator[str]:
        """The folder of every file, where `by` says so; InputError for a column."""
        return folder_names(self, by, "a folder of image files")


class FolderImages(ImageFiles):
    """The image files below a folder, sorted by path; `limit`: only so many, spread evenly over them."""

    paths: PackedPaths
    """The files, in the order of their numbers."""

    def __init__(self, folder: str | os.PathLike[str], preprocess: Preprocess, limit: int | None = None) -> None:
        left_out: Counter[str] = Counter()
        paths = pack_images(folder, left_out)
        if limit is not None and limit < len(paths):
            paths = PackedPaths(paths.folder, (paths.names[number] for number in spread(limit, len(paths))))
        super().__init__(paths, preprocess, Path(folder), left_out)

    def fingerprint(self) -> str:
        """A hash of the files' names below the folder."""
        return self.paths.names.digest()


def open_files(places: Sequence[str | os.PathLike[str]], preprocess: Preprocess | None) -> ImageFiles:
    """Files, and all images of folders, in the given order; named below the folder that holds them all."""
    paths: list[Path] = []
    named: set[int] = set()
    left_out: Counter[str] = Counter()
    for place in map(Path, places):
        if not place.exists():
            raise InputError(f"image: there is no {place}; give an image file or a folder of images")
        if not place.is_dir():
            named.add(len(paths))
        paths += find_images(place, left_out) if place.is_dir() else [place]
    folder = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    return ImageFiles(paths, preprocess or undecided, folder, left_out, named)


@dataclass
class ShapesImages(Dataset):
    """Rendered scenes of the shapes world, all concept combinations."""

    preprocess: Preprocess
    """Picture -> pixels: a model's `processor`."""
    count: int
    """How many scenes."""
    seed: int = 0
    """Other seeds, other scenes."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        from headroles.shapes import render, sample_scene

        pixels = render(sample_scene(self.seed, index))
        take_pixels(pixels)
        return index, self.preprocess(Image.fromarray(pixels))

    def name(self, index: int) -> str:
        """The scene's number."""
        return f"scene {index}"

    def fingerprint(self) -> str:
        """Count and seed fix the scenes."""
        return hashlib.sha256(f"shapes {self.count} {self.seed}".encode()).hexdigest()


Prepared = TypeVar("Prepared", bound=Images)
Loaded = TypeVar("Loaded")


def with_preprocess(images: Prepared, preprocess: Preprocess) -> Prepared:
    """The same images as another model wants its pixels: a shallow copy, nothing is read."""
    other = copy(images)
    other.preprocess = preprocess  # type: ignore[attr-defined]  # All that come from files or are rendered have one.
    return other


Batch = tuple[Int[Tensor, "image"], Float[Tensor, "image 3 height width"], list[tuple[int, str]]]
"""Indices and pixels of the readable images, then (index, error) of the broken ones."""
Watch = Callable[[Int[Tensor, "image"], UInt64[ndarray, "image"]], None]
"""Called before each batch with indices and fingerprints (`headroles.images.fingerprints`) of its readable images."""


def batches(images: Images, size: int, workers: int = 0, watch: Watch | None = None) -> Iterator[Batch]:
    """Batches in order; with `workers` > 0 they are decoded in as many processes."""
    return load_batches(images, watch, batch_size=size, num_workers=workers)


def load_batches(images: Any, watch: Watch | None = None, **options: Any) -> Iterator[Batch]:
    """Batches of images by a DataLoader with these options; remarks on images are told once, at the end."""
    loader = DataLoader(cast(Dataset, Remarked(images)), collate_fn=_collate_remarked, **options)
    told: list[str] = []
    try:
        for batch, remarks, fingerprints in read_ahead(loader):
            told += remarks
            if watch:
                watch(batch[0], fingerprints)
            yield batch
    finally:
        tell(told)


def count_images(read: Iterator[Batch], label: str, total: int | None) -> Iterator[Batch]:
    """Batches, counted by their images; see `headroles.images.counting`."""
    return counted(read, label, total, size=lambda batch: len(batch[0]) + len(batch[2]))


def read_ahead(loader: Iterable[Loaded]) -> Iterator[Loaded]:
    """What a loader gives; a worker's InputError in one line, and no process left behind.

    The workers of a loader that fails are held by the frames of its error, and those frames by each other. A garbage
    collection would find the workers' queues gone, and then wait 5 s for each worker.
    """
    try:
        yield from loader
        return
    except InputError as error:
        message = str(error).rstrip().rpartition("errors.InputError: ")[2]  # A worker's is wrapped in its traceback.
        error.with_traceback(None)
    raise InputError(message)


def _collate_remarked(
    items: list[tuple[tuple[int, Tensor | str], list[str], int]],
) -> tuple[Batch, list[str], UInt64[ndarray, "image"]]:
    remarks = [remark for _, remarks, _ in items for remark in remarks]
    fingerprints = [each for (_, pixels), _, each in items if isinstance(pixels, Tensor)]
    return collate([item for item, _, _ in items]), remarks, np.array(fingerprints, dtype=np.uint64)


def collate(items: list[tuple[int, Tensor | str]]) -> Batch:
    """A batch of what `Images` give for its numbers."""
    whole = [(index, pixels) for index, pixels in items if isinstance(pixels, Tensor)]
    broken = [(index, error) for index, error in items if isinstance(error, str)]
    pixels = torch.stack([pixels for _, pixels in whole]) if whole else torch.empty(0)
    return torch.tensor([index for index, _ in whole], dtype=torch.long), pixels, broken
