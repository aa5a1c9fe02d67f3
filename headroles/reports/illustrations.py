"""Images that show heads at work: what a head looks at, and what a concept's heads find alike, as small pictures."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from PIL import Image
from torch import Tensor

from headroles.errors import InputError
from headroles.images.counting import counted
from headroles.images.images import FolderImages, ImageFiles, ShapesImages
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.reports.evidence import Example, Illustrations, Match, Search, SharedValues
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_heads import check_model, choose_heads
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.shapes.world import ABSENT
from headroles.uses.head_space import head_weights
from headroles.uses.head_views import directions_of, view_heads
from headroles.uses.hits import find_hits
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import index_in_memory
from headroles.uses.precision_at_k import chance
from headroles.uses.query import Query
from headroles.uses.search import search_index

_EXAMPLES, _QUERIES, _TOP, _NEAREST = 3, 4, 6, 10
"""Images of a head; queries; neighbours that are shown; neighbours that the precision counts."""
_PICTURES, _SIDE = 700, 80
"""Most pictures, and pixels of their longer side: some 2 MB in all."""


def open_images(source: str, model: HookedCLIP, count: int, seed: int) -> LabelledImages:
    """At most `count` images: "shapes", a labelled folder or CSV file, or a folder without labels."""
    try:
        return open_labelled(source, model.processor, count, seed)
    except InputError:
        files = FolderImages(Path(source), preprocess_of(model), count)  # Says itself what is wrong with a folder.
        return LabelledImages(files.folder.resolve().name, files, (), np.zeros((len(files), 0), int))


def illustrate(
    model: HookedCLIP, role_map: RoleMap, images: LabelledImages, *, seed: int = 0, batch: int = 64, workers: int = 0
) -> Illustrations:
    """Look through the images once and choose what shows the role map's heads at work.

    The queries are drawn with `seed`; examples come for heads in order of entropy, as long as pictures may be added.
    Raises InputError where the role map is of another model, or fewer than two images can be read.
    """
    check_model(role_map, model)
    index, numbers = index_in_memory(model, images.images, role_map.layers, batch, workers)
    if len(index) < 2:
        raise InputError(f"images: a report needs at least two readable images, got {len(index)}")
    codes = images.codes[numbers]
    concepts = [name for name in role_map.concepts if role_map.heads(role="attribute", concept=name)]
    weights = {name: head_weights(role_map, choose_heads(role_map, concept=name)) for name in concepts}
    labels = {concept.name: (concept.values, codes[:, column]) for column, concept in enumerate(images.concepts)}
    LOG.info(f"choosing pictures for {len(role_map)} heads and {len(concepts)} concepts")
    album = _Album(images.images, numbers, model)
    rows = np.random.default_rng([seed, 8]).permutation(len(index))[:_QUERIES]
    searches = [
        _search(index, int(row), name, weights[name], labels.get(name), album)
        for row in counted(rows, "searching", len(rows), "query")
        for name in concepts
    ]
    examples = _examples(model, role_map, index, album, batch)
    return Illustrations(
        source=images.name,
        count=len(index),
        names=album.names,
        pictures=album.pictures,
        side=model.grid[0],
        examples=examples,
        searches=tuple(searches),
        precision=tuple(
            _shared_values(role_map, name, index, weights[name], labels[name][1]) for name in concepts if name in labels
        ),
    )


class _Album:
    """The pictures that are shown somewhere, each once."""

    def __init__(self, images: ImageFiles | ShapesImages, numbers: Int[ndarray, "row"], model: HookedCLIP) -> None:
        self.images, self.numbers = images, numbers
        look = getattr(model.processor, "processor", model.processor)
        self.mean, self.std = (
            torch.tensor(getattr(look, name, None) or default).view(3, 1, 1)
            for name, default in (("image_mean", [0.0] * 3), ("image_std", [1.0] * 3))
        )
        self.pictures: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def pixels(self, row: int) -> Float[Tensor, "3 height width"]:
        """What the model saw."""
        return cast(Tensor, self.images[int(self.numbers[row])][1])  # Broken ones are not among the rows.

    def add(self, row: int) -> str:
        """The key of an image's picture."""
        key = str(int(self.numbers[row]))
        if key not in self.pictures:
            levels = (self.pixels(row).float() * self.std + self.mean).clamp(0, 1) * 255
            picture = Image.fromarray(levels.round().byte().permute(1, 2, 0).numpy())
            picture.thumbnail((_SIDE, _SIDE))
            content = io.BytesIO()
            picture.save(content, "JPEG", quality=80, optimize=True)
            self.pictures[key] = b64encode(content.getvalue()).decode()
            self.names[key] = self.images.name(int(self.numbers[row]))
        return key

    @property
    def is_full(self) -> bool:
        return len(self.pictures) >= _PICTURES


def _search(
    index: ImageIndex,
    row: int,
    concept: str,
    weights: Float[ndarray, "layer head"],
    labels: tuple[Sequence[str], Int[ndarray, "row"]] | None,
    album: _Album,
) -> Search:
    def value(place: int) -> str | None:
        return labels[0][labels[1][place]] if labels and labels[1][place] != ABSENT else None

    places = {name: place for place, name in enumerate(index.names)}
    found = search_index(index, Query(index.names[row], index.heads[row], index.embeddings[row], row), weights, _TOP)
    ours, whole = (
        tuple(Match(album.add(places[each.name]), each.score, value(places[each.name])) for each in side)
        for side in (found.by_heads, found.by_embedding)
    )
    return Search(album.add(row), concept, value(row), ours, whole)


def _shared_values(
    role_map: RoleMap,
    concept: str,
    index: ImageIndex,
    weights: Float[ndarray, "layer head"],
    codes: Int[ndarray, "row"],
) -> SharedValues:
    nearest = min(_NEAREST, len(index) - 1)
    ours, whole = (find_hits(index, codes, nearest, own).precision() for own in (weights, None))
    return SharedValues(
        concept,
        tuple(head.name for head in choose_heads(role_map, concept=concept)),
        ours.mean,
        ours.interval,
        whole.mean,
        whole.interval,
        chance(codes),
        ours.queries,
    )


@torch.inference_mode()
def _examples(
    model: HookedCLIP, role_map: RoleMap, index: ImageIndex, album: _Album, batch: int
) -> dict[str, tuple[Example, ...]]:
    """For every head, the images on which it adds most to its first text, and which patches do.

    None with a model that reads no texts, or whose embedding is pooled over tokens: `attend` says why.
    """
    heads = [head for head in role_map.heads() if head.texts]
    can_show = model.text is not None and model.tokenizer is not None and model.visual.at_row
    if not heads or not can_show:
        return {}
    _, directions = directions_of(model, heads)
    best: dict[str, list[int]] = {}
    for head, direction in zip(heads, directions.float().cpu().numpy(), strict=True):
        if album.is_full:
            break
        layer = role_map.layers.index(head.layer)
        parts = index.heads[:, layer, head.head] @ (index.bases[layer, head.head] @ direction)
        best[head.name] = np.argsort(-parts, kind="stable")[:_EXAMPLES].tolist()
        for row in best[head.name]:
            album.add(row)
    return _patches(model, heads[: len(best)], directions[: len(best)], best, album, batch)


def _patches(
    model: HookedCLIP,
    heads: Sequence[HeadRole],
    directions: Float[Tensor, "head embed"],
    best: Mapping[str, Sequence[int]],
    album: _Album,
    batch: int,
) -> dict[str, tuple[Example, ...]]:
    rows = sorted({row for own in best.values() for row in own})
    found: dict[tuple[str, int], Example] = {}
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    for part in counted(parts, "looking at images", len(rows), size=len):
        pixels = torch.stack([album.pixels(row) for row in part])
        views = view_heads(model, pixels, [(head.layer, head.head) for head in heads], directions)
        for number, head in enumerate(heads):
            for row in set(best[head.name]) & set(part):
                split = views.contribution[part.index(row), number].tolist()
                patches = tuple(float(f"{value:.4g}") for value in split[-views.patches :])
                found[head.name, row] = Example(album.add(row), float(f"{sum(split):.6g}"), patches)
    return {name: tuple(found[name, row] for row in own) for name, own in best.items()}
