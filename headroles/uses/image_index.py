"""ImageIndex: what the scored heads write on every image of a folder, on disk, so that a query reads no image.

A folder of three files: `index.json` (model, layers, every file's size and time), `heads.npy` (u = z / (sigma |f|) at
CLS in the heads' own width, see `headroles.heads.moments`) and `embeddings.npy` (unit embeddings), both memory-mapped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.images.images import ImageFiles

FORMAT = "headroles.index.1"

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


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"index: {folder} holds no index ({error}); remove it or give another --index") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"index: {folder} is no index of this version; remove it or give another --index")
    return facts
