"""Open the index of a folder for a search: as it is, brought up to date, or made; the model only if needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError
from headroles.images.images import ImageFiles, find_images
from headroles.roles.role_heads import check_model
from headroles.roles.role_map import RoleMap
from headroles.uses.image_index import ImageIndex, build_index, is_index, stamp_files
from headroles.uses.retrieve import is_indexed

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class OpenIndex:
    """An index, and the model if it had to be loaded."""

    index: ImageIndex
    model: HookedCLIP | None


def open_index(
    role_map: RoleMap,
    images: Path,
    folder: Path,
    model: str | None = None,
    device: str = "auto",
    query: Path | None = None,
    *,
    precision: str = "float16",
    rebuild: bool = True,
    batch: int = 64,
    workers: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> OpenIndex:
    """The index of `images` in `folder`, fit for the role map's model, layers and the files as they are now.

    A stale one is brought up to date (files that have not changed are not read again), or refused without `rebuild`.
    The model is loaded to build, and for a `query` from outside the folder. `say` is told what takes time, and why.
    """
    files = ImageFiles(find_images(images), lambda image: None, images)
    old = ImageIndex.load(folder) if is_index(folder) else None
    stale = "there is none yet" if old is None else None
    if old is not None:
        stale = old.staleness(role_map.model.weights_hash, role_map.layers, stamp_files(files))
    if old is not None and stale and not rebuild:
        raise InputError(f"index: {folder} is stale: {stale}; leave out --no-rebuild to bring it up to date")
    if not stale and (query is None or is_indexed(old, query, images)):
        if model is not None:  # Another model by name must not be answered from this one's index.
            check_model(role_map, _load(model, device))
        return OpenIndex(old, None)
    clip = _load(model or role_map.model.name, device)
    check_model(role_map, clip)
    if stale:
        say(f"indexing {len(files)} images into {folder}: {stale}")
        files = ImageFiles(files.paths, clip.processor, images)
        old = build_index(
            clip, files, role_map.layers, folder, precision=precision, batch=batch, workers=workers, old=old
        )
        if old.broken:
            say(f"left out {len(old.broken)} broken image files: {', '.join(sorted(old.broken)[:5])}")
    return OpenIndex(old, clip)


def _load(model: str, device: str) -> HookedCLIP:
    from headroles.models.load import load  # Takes seconds, and most searches need none of it.

    return load(model, device)
