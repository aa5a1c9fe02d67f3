"""RetrieveRun: one search in three steps. Open what it speaks of, fold the images into an index, explain: search it.

An index on disk is used as it is, brought up to date, or made; the model is loaded only if one of these needs it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from jaxtyping import Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.heads.ablation import current_ablation, record_ablation
from headroles.heads.names import Part, head_list
from headroles.images.images import FolderImages, Images, find_images, printable
from headroles.images.pictures import encode_pixels
from headroles.images.reading import Reading, announce, describe_images, stop_if_looking
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import Heads, check_tower, choose_parts, concept_shares
from headroles.roles.role_map import RoleMap
from headroles.uses.head_space import head_weights
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import index_in_memory
from headroles.uses.part_bases import project_parts
from headroles.uses.query import QueryImage, check_query, find_query, find_row
from headroles.uses.retrieved import Retrieved
from headroles.uses.search import Found, search_index
from headroles.uses.stored_index import StoredIndex

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

Searched: TypeAlias = "str | os.PathLike[str] | ImageIndex | Images"
"""A folder, an index, or images that are open already."""


@dataclass(frozen=True)
class Folded:
    """An index that stands for the images, and what it was made with."""

    index: ImageIndex
    """Of all images that can be read."""
    model: HookedCLIP | None = None
    """None where nothing had to be read."""
    images: Images | None = None
    """Those that were open already and lie in no folder."""
    numbers: Int[ndarray, "row"] | None = None
    """Every row's number among them."""
    reading: Reading | None = None
    """How the images were read; None where nothing had to be."""


@dataclass(frozen=True)
class RetrieveRun:
    """Heads, a query, and where to search."""

    role_map: RoleMap
    """Whose heads search."""
    weights: Float[ndarray, "layer head"]
    """What each counts."""
    by: str
    """What to call them."""
    query: QueryImage
    """What to search with."""
    images: ImageIndex | Images | None
    """Where to search; None for a folder."""
    folder: Path | None
    """The folder that is searched."""
    stored: StoredIndex | None
    """Its index on disk; None for one in memory."""
    model: HookedCLIP | str | None
    """The model, its name, or None for the role map's."""
    device: str
    """Where it runs."""
    split: tuple[Part, ...] = ()
    """Heads of which single directions count."""

    @classmethod
    def open(
        cls,
        role_map: RoleMap | str | os.PathLike[str],
        query: QueryImage,
        images: Searched,
        *,
        heads: Heads | None,
        concept: str | None,
        any_role: bool,
        all_heads: bool,
        index: str | os.PathLike[str] | None,
        precision: str,
        rebuild: bool,
        model: HookedCLIP | str | None,
        device: str,
    ) -> RetrieveRun:
        """Everything by name or as an object; all that can be refused is refused before a model is loaded."""
        scored = RoleMap.of(role_map)
        weights, by, split = _weigh(scored, heads, concept, any_role, all_heads)
        folder = Path(images) if isinstance(images, (str, os.PathLike)) else None
        check_query(query, folder)
        if current_ablation() and index is not None:
            raise InputError("--index holds what the whole model says; with --ablate leave it out")
        place = None if folder is None else _find_place(role_map, folder, index)
        stored = None
        if folder is not None and place is not None:
            stored = StoredIndex.open(scored, folder, place, precision, rebuild)
        elif folder is not None:
            find_images(folder)
        given = None if folder is not None else cast("ImageIndex | Images", images)
        return cls(scored, weights, by, query, given, folder, stored, model, device, split)

    def fold(self, batch: int = 64, workers: int = 0, say: Callable[[str], None] = lambda line: None) -> Folded:
        """The index of all images; `say` is told what takes time, and why."""
        ready = self.images if self.stored is None else self.stored.ready
        if isinstance(ready, ImageIndex):
            folded = self._ready(ready)
            stop_if_looking(f"images: {len(ready):,} in an index that stands for them; none is read again")
            return folded
        clip = open_model(self.role_map, self.model, self.device)
        if self.stored is not None:
            index, reading = self.stored.fold(clip, self.role_map.layers, batch, workers, say)
            return Folded(index, clip, reading=reading)
        given = cast("Images | None", self.images)
        images = FolderImages(self.folder, preprocess_of(clip)) if self.folder is not None else cast(Images, given)
        reading = announce(describe_images(images, "images" if self.folder is None else str(self.folder)))
        index, numbers = index_in_memory(clip, images, self.role_map.layers, batch, workers)
        return Folded(index, clip, given, numbers, reading)

    def _ready(self, index: ImageIndex) -> Folded:
        """An index that needs no image read. The model reads a query from outside, and must be the index's if named."""
        check_tower(self.role_map)
        wrong = index.mismatch(self.role_map.model.weights_hash, self.role_map.layers)
        if wrong:
            raise InputError(f"images: the index does not fit the role map: {wrong}; build it anew")
        known = self.model is None and not self.split  # Directions are the weights'.
        if known and find_row(index, self.query, self.folder) is not None:
            return Folded(index)
        return Folded(index, open_model(self.role_map, self.model, self.device))

    def explain(self, folded: Folded, top: int = 8) -> Retrieved:
        """The nearest images."""
        query = find_query(folded.index, self.query, self.folder, folded.model)
        projectors = project_parts(folded.model, folded.index.layers, self.split) if self.split and folded.model else {}
        found = search_index(folded.index, query, self.weights, top, projectors)
        return Retrieved(
            model=self.role_map.model,
            settings=record_ablation({}),
            by=self.by,
            query=found.query,
            by_heads=found.by_heads,
            by_embedding=found.by_embedding,
            indexed=len(folded.index),
            folder=None if self.folder is None else printable(str(self.folder)),
            query_picture=query.picture,
            pictures=_pictures(folded, found),
            reading={} if folded.reading is None else folded.reading.to_dict(),
        )


def _weigh(
    role_map: RoleMap, heads: Heads | None, concept: str | None, any_role: bool, all_heads: bool
) -> tuple[Float[ndarray, "layer head"], str, tuple[Part, ...]]:
    """A weight a scored head, what to call them, and of which of them single directions count."""
    if all_heads:
        if concept is None or heads is not None:
            raise InputError("--all-heads weighs every head by P(concept): give --concept, and no --heads")
        return concept_shares(role_map, concept), f"all heads by P({concept})", ()
    chosen = choose_parts(role_map, heads, concept, any_role)
    if len(chosen) == 1 and len(chosen[0].part.directions) == 1:
        raise InputError(
            f"heads: along {chosen[0].part.name} alone all cosines are 1 or -1; choose two directions, or the head"
        )
    names, split = head_list(each.part for each in chosen), tuple(each.part for each in chosen if each.part.directions)
    weights = head_weights(role_map, [each.role for each in chosen])
    return weights, f"{concept} ({names})" if concept else names, split


def _find_place(
    role_map: RoleMap | str | os.PathLike[str], images: Path, index: str | os.PathLike[str] | None
) -> Path | None:
    """Where the index of a folder lies: as given, or beside the role map's file; None where there is no such place."""
    if index is not None:
        return Path(index)
    if isinstance(role_map, RoleMap):
        return None
    cut = current_ablation()
    key = f"{images.resolve()} {cut}" if cut else str(images.resolve())
    home = Path(role_map) if Path(role_map).is_dir() else Path(role_map).parent
    return home / f"index-{hashlib.sha256(os.fsencode(key)).hexdigest()[:8]}"


def _pictures(folded: Folded, found: Found) -> dict[str, str]:
    """What is found, where it lies in no folder to draw it from."""
    if folded.images is None or folded.numbers is None:
        return {}
    shown = {found.query, *(each.name for each in (*found.by_heads, *found.by_embedding))}
    rows = {name: row for row, name in enumerate(folded.index.names) if name in shown}
    processor = None if folded.model is None else folded.model.processor
    pixels = {name: folded.images[int(folded.numbers[row])][1] for name, row in rows.items()}
    return {name: encode_pixels(each, processor) for name, each in pixels.items() if not isinstance(each, str)}
