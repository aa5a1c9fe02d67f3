"""ImageIndex: what the scored heads write on every image of a folder, on disk, so that a query reads no image.

A folder of three files: `index.json` (model, layers, every file's size and time), `heads.npy` (u = z / (sigma |f|) at
CLS in the heads' own width, see `headroles.heads.moments`) and `embeddings.npy` (unit embeddings), both memory-mapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.files.json_files import dump_json, read_object
from headroles.images.images import ImageFiles

FORMAT = "headroles.index.2"
ARRAYS = ("heads", "embeddings", "bases")
"""Its files beside index.json, each NAME.npy."""
_FACTS = "index.json"
_OTHER = "remove it or give another --index"

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

    def mismatch(self, weights_hash: str, layers: Sequence[int]) -> str | None:
        """Why this index does not stand for this model and these layers, None where it does."""
        if self.weights_hash != weights_hash:
            return "it is of another model"
        return None if self.layers == tuple(layers) else f"it has layers {', '.join(map(str, self.layers))}"

    def staleness(self, weights_hash: str, layers: Sequence[int], files: dict[str, Stamp]) -> str | None:
        """Why this index does not stand for these files under this model, None where it does."""
        wrong = self.mismatch(weights_hash, layers)
        if wrong:
            return wrong
        known = dict(zip(self.names, self.stamps, strict=True)) | self.broken
        changed = [name for name in sorted({*known, *files}) if known.get(name) != files.get(name)]
        if changed:
            return f"{len(changed)} of {len(files)} files differ, such as {changed[0]}"
        return None

    @classmethod
    def load(cls, folder: Path) -> ImageIndex:
        """Open what `build_index` wrote, its arrays mapped from disk.

        InputError where it is of another version, or a part is not what its hash says was written.
        """
        facts = _read_facts(folder)
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS]
        names, stamps = tuple(facts["names"]), tuple(map(tuple, facts["stamps"]))
        broken = {name: tuple(stamp) for name, stamp in facts["broken"].items()}
        return cls(facts["weights_hash"], tuple(facts["layers"]), names, stamps, broken, *arrays)


def is_index(folder: Path) -> bool:
    """Whether a folder is an index, whole or damaged, and holds nothing else."""
    known = {_FACTS, *(f"{name}.npy" for name in ARRAYS)}
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return found <= known and _FACTS in found and len(found) > 1


def stamp_files(images: ImageFiles) -> dict[str, Stamp]:
    """Name -> size and time of every file; no image is read."""
    found = {}
    for number, path in enumerate(images.paths):
        stat = path.stat()
        found[images.name(number)] = (stat.st_size, stat.st_mtime_ns)
    return found


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write index.json, with hashes over the arrays, which are there, and over itself."""
    whole = {**facts, "format": FORMAT, "arrays": {name: _hash_file(folder / f"{name}.npy") for name in ARRAYS}}
    (folder / _FACTS).write_text(dump_json({**whole, "sha256": _hash_facts(whole)}), encoding="utf-8")


def _read_facts(folder: Path) -> dict[str, Any]:
    facts = read_object(folder / _FACTS, "index", _OTHER)
    if facts.get("format") != FORMAT:
        raise InputError(f"index: {folder} is no index of this version; {_OTHER}")
    whole = (folder / _FACTS).read_text(encoding="utf-8-sig") == dump_json(facts)  # A key twice would be read as one.
    if facts.pop("sha256", None) != _hash_facts(facts) or not whole:
        raise InputError(f"index: {folder / _FACTS} is damaged: it is not what its hash says was written; {_OTHER}")
    for name, digest in facts["arrays"].items():
        path = folder / f"{name}.npy"
        if not path.is_file() or _hash_file(path) != digest:
            raise InputError(f"index: {path} is missing or damaged: not what its hash says was written; {_OTHER}")
    return facts


def _hash_facts(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump_json(facts, sort_keys=True).encode()).hexdigest()


def _hash_file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()
