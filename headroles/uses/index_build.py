"""Building an ImageIndex: on disk from the files of a folder, reading only those that changed, or in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.files.whole import naming
from headroles.images.images import ImageFiles, Images, Watch, batches, count_images
from headroles.uses.image_index import ImageIndex, Stamp, is_index, stamp_files, write_facts

if TYPE_CHECKING:
    from torch import Tensor

    from headroles.models.hooked_clip import HookedCLIP

PRECISIONS = ("float16", "float32")
"""Numbers of an index on disk."""
_CHUNK = 4096
"""Rows copied at once."""


def build_index(
    model: HookedCLIP,
    images: ImageFiles,
    layers: Sequence[int],
    folder: Path,
    *,
    precision: str = "float16",
    batch: int = 64,
    workers: int = 0,
    old: ImageIndex | None = None,
) -> ImageIndex:
    """Write the index of image files into a new folder, or in place of an older index.

    One streaming pass; the arrays are written row by row. `old` is an index of the same model and layers: rows of files
    that are as they were are taken over, not computed again. Raises InputError where `folder` holds something else.
    """
    check_place(folder, precision)
    with _replacing_folder(folder) as partial:
        building = _Building.open(partial, model, images, tuple(layers), precision, old)
        building.fold(batch, workers)
        building.write()
    return ImageIndex.load(folder)


def check_place(folder: Path, precision: str) -> None:
    """InputError where an index cannot be written so, or not there."""
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if folder.exists() and not is_index(folder) and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError(f"index: {folder} holds something else than an index; give another --index")


def index_in_memory(
    model: HookedCLIP,
    images: Images,
    layers: Sequence[int],
    batch: int = 64,
    workers: int = 0,
    watch: Watch | None = None,
) -> tuple[ImageIndex, Int[ndarray, "row"]]:
    """The same without a folder, in float32, of images that have no files either; and every row's number among them."""
    rows: list[tuple[ndarray, ndarray]] = []
    numbers: list[int] = []
    broken: dict[str, Stamp] = {}
    for seen, pixels, errors in count_images(batches(images, batch, workers, watch), "reading images", len(images)):
        broken |= {images.name(number): (0, 0) for number, _ in errors}
        if len(seen):
            numbers += seen.tolist()
            rows.append(_observe(model, pixels, layers, images.name, seen))
    if not rows:
        raise InputError(f"images: none of {len(images)} can be read", page="no-images")
    heads, embeddings = (np.concatenate(part) for part in zip(*rows, strict=True))
    names = tuple(images.name(number) for number in numbers)
    stamps = ((0, 0),) * len(names)
    index = ImageIndex(
        model.weights_hash(), tuple(layers), names, stamps, broken, heads, embeddings, _bases(model, layers)
    )
    return index, np.array(numbers)


@dataclass
class _Building:
    """An index while it is built: arrays with a row for every file, readable or not."""

    folder: Path
    model: HookedCLIP
    images: ImageFiles
    layers: tuple[int, ...]
    names: list[str]
    stamps: dict[str, Stamp]
    heads: ndarray
    embeddings: ndarray
    broken: dict[str, Stamp] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    """Rows that need not be read: filled from an older index, or broken there and unchanged."""
    readable: set[int] = field(default_factory=set)

    @classmethod
    def open(
        cls,
        folder: Path,
        model: HookedCLIP,
        images: ImageFiles,
        layers: tuple[int, ...],
        precision: str,
        old: ImageIndex | None,
    ) -> _Building:
        """Arrays for all files, those that an older index of this model and these layers knows filled in."""
        names = [images.name(number) for number in range(len(images))]
        shape = (len(names), *_bases(model, layers).shape[:3])  # Pooled heads are as wide as the embedding.
        heads = _open_array(folder / "all_heads.npy", precision, shape)
        rows = (len(names), model.visual.embed)
        embeddings = _open_array(folder / "all_rows.npy", precision, rows)
        building = cls(folder, model, images, layers, names, stamp_files(images), heads, embeddings)
        if old is not None and old.weights_hash == model.weights_hash() and old.layers == layers:
            building._keep(old)
        return building

    def _keep(self, old: ImageIndex) -> None:
        """Take over what has not changed since."""
        rows = {name: row for row, name in enumerate(old.names) if self.stamps.get(name) == old.stamps[row]}
        for number, name in enumerate(self.names):
            if name in rows:
                self.heads[number], self.embeddings[number] = old.heads[rows[name]], old.embeddings[rows[name]]
                self.readable.add(number)
            elif name in old.broken and old.broken[name] == self.stamps[name]:
                self.broken[name] = old.broken[name]
            else:
                continue
            self.known.add(number)

    def fold(self, batch: int, workers: int) -> None:
        """Read the other files, batch by batch."""
        fresh = [number for number in range(len(self.names)) if number not in self.known]
        part = ImageFiles([self.images.paths[number] for number in fresh], self.images.preprocess, self.images.folder)
        read = count_images(batches(part, batch, workers), "reading images", len(fresh)) if fresh else ()
        for index, pixels, errors in read:
            self.broken |= {part.name(number): self.stamps[part.name(number)] for number, _ in errors}
            if len(index):
                place = [fresh[number] for number in index.tolist()]
                found = _observe(self.model, pixels, self.layers, part.name, index)
                self.heads[place], self.embeddings[place] = found
                self.readable.update(place)

    def write(self) -> None:
        """The rows of the readable files, and index.json last."""
        rows = sorted(self.readable)
        if not rows:
            raise InputError(f"images: none of {len(self.names)} can be read", page="no-images")
        for source, target in ((self.heads, "heads"), (self.embeddings, "embeddings")):
            _compact(source, rows, self.folder / f"{target}.npy")
        del source, self.heads, self.embeddings  # A file that is mapped cannot be removed everywhere.
        for name in ("all_heads.npy", "all_rows.npy"):
            (self.folder / name).unlink()
        np.save(self.folder / "bases.npy", _bases(self.model, self.layers))
        facts = {
            "weights_hash": self.model.weights_hash(),
            "layers": self.layers,
            "names": [self.names[row] for row in rows],
            "stamps": [self.stamps[self.names[row]] for row in rows],
            "broken": self.broken,
        }
        write_facts(self.folder, facts)


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `folder` in the end, or vanishes where the work inside fails.

    The old one is moved aside, and goes when the new one is in its place.
    """
    partial, before = (folder.with_name(folder.name + end) for end in (".partial", ".before"))
    with locked(folder.parent, folder.name), naming(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            _swap(folder, partial, before)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _swap(folder: Path, new: Path, before: Path) -> None:
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        folder.rename(before)
    try:
        new.rename(folder)
    except OSError:
        if before.exists():
            before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _open_array(path: Path, kind: Any, shape: tuple[int, ...]) -> np.memmap:
    """A new array file, mapped, whose place on disk is taken at once: a full disk would kill a later write (SIGBUS)."""
    array = np.lib.format.open_memmap(path, "w+", np.dtype(kind), shape)
    if hasattr(os, "posix_fallocate") and path.stat().st_size:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _compact(source: ndarray, rows: Sequence[int], path: Path) -> None:
    """Write some rows of a memory-mapped array."""
    target = _open_array(path, source.dtype, (len(rows), *source.shape[1:]))
    for start in range(0, len(rows), _CHUNK):
        target[start : start + _CHUNK] = source[rows[start : start + _CHUNK]]
    target.flush()


def _bases(model: HookedCLIP, layers: Sequence[int]) -> Float[ndarray, "layer head width embed"]:
    return model.visual.bases()[list(layers)].detach().float().cpu().numpy()


def _observe(
    model: HookedCLIP,
    pixels: Float[Tensor, "image 3 height width"],
    layers: Sequence[int],
    names: Callable[[int], str],
    numbers: Int[Tensor, "image"],
) -> tuple[Float[ndarray, "image layer head width"], Float[ndarray, "image embed"]]:
    """u = z / (sigma |f|) and unit embeddings of a batch; InputError names an image of which they are no numbers."""
    from headroles.heads.moments import observe_with_embedding  # Opening an index needs no model's code.
    from headroles.models.finite import check_rows

    u, rows = observe_with_embedding(model, pixels, layers)
    for outputs in (u, rows):
        check_rows(outputs, names, numbers.tolist())
    return u.float().cpu().numpy(), rows.float().cpu().numpy()
