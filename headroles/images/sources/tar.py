"""Images in tar files, such as the shards that webdataset and img2dataset write."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError
from headroles.files.json_files import read_json
from headroles.files.packed_paths import PackedNames
from headroles.files.plain import Unfit, from_plain
from headroles.images.images import SUFFIXES, Preprocess, read_pixels, spread

SIZES = "sizes.json"
"""Beside the shards: how many images each holds, {"000.tar": 1000, ...}, as other readers of shards know it. Without
it every shard's headers are read once before the pass."""


class TarImages(Dataset):
    """The image members of tar files, in order of the files, then of their place in the file.

    Members are read where they lie: nothing is unpacked, and a process keeps the index of one shard or two.
    """

    def __init__(self, paths: Sequence[Path], preprocess: Preprocess, count: int | None = None) -> None:
        self.paths, self.preprocess = list(paths), preprocess
        self.counts = np.array(list(_counts(self.paths)), dtype=np.int64)
        if not self.counts.sum():
            named = self.paths[0] if len(self.paths) == 1 else f"the {len(self.paths)} tar files"
            raise InputError(f"images: no image in {named}; expected members ending in {', '.join(SUFFIXES)}")
        self.ends = self.counts.cumsum()
        self.chosen = spread(count, int(self.ends[-1]))
        self.root = Path(os.path.commonpath([path.parent for path in self.paths]))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: int) -> tuple[int, Tensor | str]:
        shard, row = self._locate(number)
        index = _index(self.paths[shard])
        with open(self.paths[shard], "rb") as file:
            file.seek(index.starts[row])
            content = file.read(index.sizes[row])
        if len(content) < index.sizes[row]:
            return number, f"OSError: the tar file ends after {len(content)} of {index.sizes[row]} bytes"
        return number, read_pixels(io.BytesIO(content), self.preprocess)

    def name(self, number: int) -> str:
        """Such as 000.tar/cat.jpg."""
        shard, row = self._locate(number)
        return f"{self.paths[shard].relative_to(self.root).as_posix()}/{_index(self.paths[shard]).names[row]}"

    def fingerprint(self) -> str:
        """A hash of the shards' names, their numbers of images, and the choice among these."""
        names = [path.relative_to(self.root).as_posix() for path in self.paths]
        return hashlib.sha256(json.dumps([names, self.counts.tolist(), len(self)]).encode()).hexdigest()

    def _locate(self, number: int) -> tuple[int, int]:
        """(shard, member) of an image."""
        place = self.chosen[number]
        shard = int(np.searchsorted(self.ends, place, side="right"))
        row = place - int(self.ends[shard] - self.counts[shard])
        found = count_images(self.paths[shard])
        if found != self.counts[shard]:
            raise InputError(f"images: {self.paths[shard]} holds {found} images, {SIZES} says {self.counts[shard]}")
        return shard, row


def count_images(path: str | os.PathLike) -> int:
    """How many images a tar file holds."""
    return len(_index(Path(path)).starts)


def _counts(paths: list[Path]) -> Iterator[int]:
    """How many images every shard holds, by `SIZES` or by its headers."""
    known: dict[Path, dict[str, int]] = {}
    for path in paths:
        if path.parent not in known:
            known[path.parent] = _read_sizes(path.parent / SIZES)
        size = known[path.parent].get(path.name)
        yield count_images(path) if size is None else size


def _read_sizes(file: Path) -> dict[str, int]:
    if not file.is_file():
        return {}
    try:
        sizes: dict[str, int] = from_plain(dict[str, int], read_json(file, "images"))
        return sizes
    except (Unfit, InputError) as error:
        raise InputError(f'images: {file} is not as {{"000.tar": 1000}} ({error}); mend or remove it') from error


class _Index:
    """Where a shard's images lie."""

    def __init__(self, path: Path) -> None:
        names, starts, sizes = [], [], []
        for member in _members(path):
            if member.isfile() and _is_image(member.name):
                names.append(member.name)
                starts.append(member.offset_data)
                sizes.append(member.size)
        self.names = PackedNames(names)
        self.starts, self.sizes = np.array(starts, dtype=np.int64), np.array(sizes, dtype=np.int64)


_index = lru_cache(maxsize=2)(_Index)


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """The members up to the end of the file, or to where it is cut off."""
    seen = False
    try:
        with tarfile.open(path, "r:") as tar:
            while member := tar.next():
                seen = True
                yield member
                tar.members = []  # type: ignore[attr-defined]  # It would keep every member; typeshed does not know it.
    # Sizes of a damaged header may be beyond what a file or memory can have.
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError) as error:
        if not seen:
            raise InputError(f"images: cannot read {path} as a tar file ({error}); compressed ones: unpack") from error


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") and part != "." for part in path.parts)
