"""ImageIndex: what the scored heads write on every image of a folder, on disk, so that a query reads no image.

A folder of three files: `index.json` (model, layers, every file's size and time), `heads.npy` (u = z / (sigma |f|) at
CLS in the heads' own width, see `headroles.heads.moments`) and `embeddings.npy` (unit embeddings), both memory-mapped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.images.images import ImageFiles, Images, batches

if TYPE_CHECKING:
    from torch import Tensor

    from headroles.models.hooked_clip import HookedCLIP

FORMAT = "headroles.index.1"
PRECISIONS = ("float16", "float32")

Stamp = tuple[int, int]
"""Size in bytes, time of the last change in nanoseconds."""


@dataclass(frozen=True)
class ImageIndex:
    """Contributions and embeddings of images; rows are the readable ones, in the images' order."""

    weights_hash: str
    """Hash of the model."""
    layers: tuple[int, ...]
    """Layers of `heads`."""
    names: tuple[str, ...]
    """Every row's image, below the folder."""
    stamps: tuple[Stamp, ...]
    """Every row's file when it was read."""
    broken: dict[str, Stamp]
    """Files that could not be read."""
    heads: Float[ndarray, "image layer head width"]
    """u = z / (sigma |f|)."""
    embeddings: Float[ndarray, "image embed"]
    """Unit embeddings."""
    bases: Float[ndarray, "layer head width embed"]
    """u @ bases is a head's part of the unit embedding."""

    def __len__(self) -> int:
        return len(self.names)

    def row(self, name: str) -> int | None:
        """Where an image is, None where it is not in here."""
        return self.names.index(name) if name in self.names else None

    def staleness(self, weights_hash: str, layers: Sequence[int], files: dict[str, Stamp]) -> str | None:
        """Why this index does not stand for these files under this model, None where it does."""
        if self.weights_hash != weights_hash:
            return "it is of another model"
        if self.layers != tuple(layers):
            return f"it has layers {', '.join(map(str, self.layers))}"
        known = dict(zip(self.names, self.stamps, strict=True)) | self.broken
        changed = [name for name in sorted({*known, *files}) if known.get(name) != files.get(name)]
        if changed:
            return f"{len(changed)} of {len(files)} files differ, such as {changed[0]}"
        return None

    @classmethod
    def load(cls, folder: Path) -> ImageIndex:
        """Open what `build_index` wrote; nothing is read of the arrays before it is asked for."""
        facts = _read_facts(folder)
        try:
            arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("heads", "embeddings", "bases")]
        except (OSError, ValueError) as error:
            raise InputError(f"index: {folder} is damaged ({error}); remove it") from error
        names, stamps = tuple(facts["names"]), tuple(map(tuple, facts["stamps"]))
        broken = {name: tuple(stamp) for name, stamp in facts["broken"].items()}
        if any(len(array) != len(names) for array in arrays[:2]):
            raise InputError(f"index: {folder} is damaged (rows are missing); remove it")
        return cls(facts["weights_hash"], tuple(facts["layers"]), names, stamps, broken, *arrays)


def is_index(folder: Path) -> bool:
    """Whether `ImageIndex.load` may find something there."""
    return (folder / "index.json").is_file()


def stamp_files(images: ImageFiles) -> dict[str, Stamp]:
    """Name -> size and time of every file; no image is read."""
    found = {}
    for number, path in enumerate(images.paths):
        stat = path.stat()
        found[images.name(number)] = (stat.st_size, stat.st_mtime_ns)
    return found


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
    progress: Callable[[int, int], None] | None = None,
) -> ImageIndex:
    """Write the index of image files into a new folder, or in place of an older index.

    One streaming pass; the arrays are written row by row. `old` is an index of the same model and layers: rows of files
    that are as they were are taken over, not computed again. Raises InputError where `folder` holds something else.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if folder.exists() and not is_index(folder) and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError(f"index: {folder} holds something else than an index; give another --index")
    stamps = stamp_files(images)
    kept = _kept_rows(old, stamps, model, layers)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        facts = _fill(partial, model, images, tuple(layers), stamps, kept, old, precision, batch, workers, progress)
        (partial / "index.json").write_text(json.dumps(facts), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ImageIndex.load(folder)


def index_in_memory(
    model: HookedCLIP, images: Images, layers: Sequence[int], batch: int = 64, workers: int = 0
) -> tuple[ImageIndex, Float[ndarray, "row"]]:
    """The same without a folder, in float32, of images that have no files either; and every row's number among them."""
    rows, numbers, broken = [], [], {}
    for index, pixels, errors in batches(images, batch, workers):
        broken |= {images.name(number): (0, 0) for number, _ in errors}
        if len(index):
            numbers += index.tolist()
            rows.append([part.float().cpu().numpy() for part in _observe(model, pixels, layers)])
    if not rows:
        raise InputError(f"images: none of {len(images)} can be read")
    heads, embeddings = (np.concatenate(part) for part in zip(*rows, strict=True))
    names = tuple(images.name(number) for number in numbers)
    stamps = ((0, 0),) * len(names)
    index = ImageIndex(
        model.weights_hash(), tuple(layers), names, stamps, broken, heads, embeddings, _bases(model, layers)
    )
    return index, np.array(numbers)


def _fill(
    folder: Path,
    model: HookedCLIP,
    images: ImageFiles,
    layers: tuple[int, ...],
    stamps: dict[str, Stamp],
    kept: dict[str, int],
    old: ImageIndex | None,
    precision: str,
    batch: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Write the arrays and return what `index.json` says."""
    names = [images.name(number) for number in range(len(images))]
    fresh = [number for number, name in enumerate(names) if name not in kept]
    part = ImageFiles([images.paths[number] for number in fresh], images.preprocess, images.folder)
    readable, broken = (
        set(kept),
        {name: old.broken[name] for name in names if old and name in kept and name in old.broken},
    )
    readable -= set(broken)
    shape = (len(layers), *_bases(model, layers).shape[1:3])  # Heads of a pooling tower write in the embedding's width.
    heads = np.lib.format.open_memmap(folder / "all_heads.npy", "w+", precision, (len(names), *shape))
    embeddings = np.lib.format.open_memmap(folder / "all_rows.npy", "w+", precision, (len(names), model.visual.embed))
    done = len(names) - len(fresh)
    for number, name in enumerate(names):
        if name in readable:
            heads[number], embeddings[number] = old.heads[kept[name]], old.embeddings[kept[name]]
    for index, pixels, errors in batches(part, batch, workers) if fresh else ():
        broken |= {part.name(number): stamps[part.name(number)] for number, _ in errors}
        if len(index):
            place = [fresh[number] for number in index.tolist()]
            u, rows = _observe(model, pixels, layers)
            heads[place], embeddings[place] = u.float().cpu().numpy(), rows.float().cpu().numpy()
            readable |= {names[number] for number in place}
        done += len(index) + len(errors)
        if progress:
            progress(done, len(names))
    rows = [number for number, name in enumerate(names) if name in readable]
    if not rows:
        raise InputError(f"images: none of {len(names)} can be read")
    for source, target in ((heads, "heads"), (embeddings, "embeddings")):
        _compact(source, rows, folder / f"{target}.npy")
    del heads, embeddings
    for name in ("all_heads.npy", "all_rows.npy"):
        (folder / name).unlink()
    np.save(folder / "bases.npy", _bases(model, layers))
    return {
        "format": FORMAT,
        "weights_hash": model.weights_hash(),
        "layers": layers,
        "names": [names[row] for row in rows],
        "stamps": [stamps[names[row]] for row in rows],
        "broken": broken,
    }


def _compact(source: ndarray, rows: Sequence[int], path: Path, chunk: int = 4096) -> None:
    """Write some rows of a memory-mapped array."""
    target = np.lib.format.open_memmap(path, "w+", source.dtype, (len(rows), *source.shape[1:]))
    for start in range(0, len(rows), chunk):
        target[start : start + chunk] = source[rows[start : start + chunk]]
    target.flush()


def _kept_rows(
    old: ImageIndex | None, stamps: dict[str, Stamp], model: HookedCLIP, layers: Sequence[int]
) -> dict[str, int]:
    """Name -> row of `old` for files that have not changed since; -1 for those that were broken and still are."""
    if old is None or old.weights_hash != model.weights_hash() or old.layers != tuple(layers):
        return {}
    rows = {name: row for row, name in enumerate(old.names) if stamps.get(name) == old.stamps[row]}
    return rows | {name: -1 for name, stamp in old.broken.items() if stamps.get(name) == stamp}


def _bases(model: HookedCLIP, layers: Sequence[int]) -> Float[ndarray, "layer head width embed"]:
    return model.visual.bases()[list(layers)].detach().float().cpu().numpy()


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"index: {folder} holds no index ({error}); remove it or give another --index") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"index: {folder} is no index of this version; remove it or give another --index")
    return facts


def _observe(model: HookedCLIP, pixels: Tensor, layers: Sequence[int]) -> tuple[Tensor, Tensor]:
    from headroles.heads.moments import observe_with_embedding  # Opening an index needs no model's code.

    return observe_with_embedding(model, pixels, layers)
