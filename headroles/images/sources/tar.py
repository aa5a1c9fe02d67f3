"""Images in tar files, such as the shards that webdataset and img2dataset write."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json, read_json
from headroles.files.packed_paths import PackedNames
from headroles.files.plain import Unfit, from_plain
from headroles.images.groups import folder_names
from headroles.images.images import Preprocess, printable, read_pixels, spread
from headroles.images.pixels import name_suffixes, suffixes
from headroles.images.walk import count_suffix, is_hidden

SIZES = "sizes.json"
"""Beside the shards: how many images each holds, {"000.tar": 1000, ...}, as other readers of shards know it. Without
it every shard's headers are read once before the pass."""


class TarImages(Dataset):
    """The image members of tar files, in order of the files, then of their place in the file.

    Members are read where they lie: nothing is unpacked, and a process keeps the index of one shard or two. `key`
    chooses among several images of a sample, as webdataset names them: 0001.jpg and 0001.seg.png have the keys jpg and
    seg.png; several keys are separated by commas.
    """

    def __init__(
        self, paths: Sequence[Path], preprocess: Preprocess, count: int | None = None, key: str | None = None
    ) -> None:
        self.paths, self.preprocess, self.keys = list(paths), preprocess, _split_keys(key)
        self.kinds: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.counts = np.array(list(self._count()), dtype=np.int64)
        if key is not None and not self.counts.sum():
            raise InputError(f"key: no image of key {key} in {self.paths[0]}; there are {', '.join(self.left_out)}")
        if not self.counts.sum():
            named = self.paths[0] if len(self.paths) == 1 else f"the {len(self.paths)} tar files"
            raise InputError(f"images: no image in {named}; expected members ending in {name_suffixes()}")
        self.ends = self.counts.cumsum()
        self.chosen = spread(count, int(self.ends[-1]))
        self.root = Path(os.path.commonpath([path.parent for path in self.paths]))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: int) -> tuple[int, Tensor | str]:
        shard, row = self._locate(number)
        index = _index(self.paths[shard], self.keys)
        with open(self.paths[shard], "rb") as file:
            file.seek(index.starts[row])
            content = file.read(index.sizes[row])
        if len(content) < index.sizes[row]:
            return number, f"OSError: the tar file ends after {len(content)} of {index.sizes[row]} bytes"
        return number, read_pixels(io.BytesIO(content), self.preprocess)

    def name(self, number: int) -> str:
        """Such as 000.tar/cat.jpg."""
        shard, row = self._locate(number)
        member = _index(self.paths[shard], self.keys).names[row]
        return printable(f"{self.paths[shard].relative_to(self.root).as_posix()}/{member}")

    def fingerprint(self) -> str:
        """A hash of the shards' names, their numbers of images, and the choice among these."""
        names = [path.relative_to(self.root).as_posix() for path in self.paths]
        parts = [names, self.counts.tolist(), len(self), *([self.keys] if self.keys else [])]
        return hashlib.sha256(dump_json(parts).encode()).hexdigest()

    def group_names(self, by: str) -> Iterator[str]:
        """The tar file of every image and the folder within, where `by` is folder; InputError for a column."""
        return folder_names(self, by, "a tar file")

    def _count(self) -> Iterator[int]:
        """How many images every shard holds, by `SIZES` or by its headers; those of the first shard are always read."""
        known: dict[Path, dict[str, int]] = {}
        for number, path in enumerate(self.paths):
            if path.parent not in known:
                known[path.parent] = _read_sizes(path.parent / SIZES)
            size = known[path.parent].get(path.name)
            if size is None or number == 0:
                index = _index(path, self.keys)
                self.kinds, self.left_out = self.kinds + index.kinds, self.left_out + index.left_out
                size = len(index.starts) if size is None else size
            yield size

    def _locate(self, number: int) -> tuple[int, int]:
        """(shard, member) of an image."""
        place = self.chosen[number]
        shard = int(np.searchsorted(self.ends, place, side="right"))
        row = place - int(self.ends[shard] - self.counts[shard])
        found = count_images(self.paths[shard], self.keys)
        if found != self.counts[shard]:
            raise InputError(f"images: {self.paths[shard]} holds {found} images, {SIZES} says {self.counts[shard]}")
        return shard, row


def count_images(path: str | os.PathLike, keys: tuple[str, ...] = ()) -> int:
    """How many images a tar file holds, of these keys if any are given."""
    return len(_index(Path(path), keys).starts)


def _read_sizes(file: Path) -> dict[str, int]:
    if not file.is_file():
        return {}
    try:
        sizes: dict[str, int] = from_plain(dict[str, int], read_json(file, "images"))
        return sizes
    except (Unfit, InputError) as error:
        raise InputError(f'images: {file} is not as {{"000.tar": 1000}} ({said(error)}); mend or remove it') from error


class _Index:
    """Where a shard's images lie."""

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        names, starts, sizes = [], [], []
        self.kinds: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        for member in _members(path):
            if not member.isfile():
                continue
            why = _left_out(member.name, keys)
            if why is not None:
                self.left_out[why] += 1
                continue
            names.append(member.name)
            starts.append(member.offset_data)
            sizes.append(member.size)
            self.kinds[_split_name(member.name)[1] if keys else count_suffix(member.name)] += 1
        if not keys:
            _check_samples(path, names)
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
            why = f"cannot read {path} as a tar file ({said(error)})"
            raise InputError(f"images: {why}; compressed ones: unpack") from error


def _left_out(name: str, keys: tuple[str, ...]) -> str | None:
    """What a member that is not read is counted as; None for one that is."""
    path = PurePosixPath(name)
    if any(is_hidden(part) and part != "." for part in path.parts):
        return "hidden or of a system"
    if path.suffix.lower() not in suffixes():
        return count_suffix(name)
    key = _split_name(name)[1]
    return key if keys and key not in keys else None


def _split_keys(key: str | None) -> tuple[str, ...]:
    return tuple(each.strip().lower().removeprefix(".") for each in (key or "").split(",") if each.strip())


def _split_name(name: str) -> tuple[str, str]:
    """(sample, key) of a member, as webdataset has them: the key is what follows the file name's first dot."""
    folder, _, file = name.rpartition("/")
    stem, _, key = file.partition(".")
    return f"{folder}/{stem}", key.lower()


def _check_samples(path: Path, names: Sequence[str]) -> None:
    """InputError where samples have several images, such as a picture and its mask.

    Names that merely hold dots are told apart: their keys do not come again, or begin with a digit.
    """
    samples: dict[str, list[str]] = {}
    for name in names:
        sample, key = _split_name(name)
        samples.setdefault(sample, []).append(key)
    sets = Counter(
        tuple(sorted(keys)) for keys in samples.values() if len(keys) > 1 and not any(key[:1].isdigit() for key in keys)
    )
    for keys, times in sets.most_common(1):
        if times > 1 or times == len(samples):
            raise InputError(
                f"images: {times} samples of {path} have several images, {', '.join(keys)}; choose with --key {keys[0]}"
            )
