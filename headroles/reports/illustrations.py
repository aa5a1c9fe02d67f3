"""Images that show heads at work: what a head looks at, and what a concept's heads find alike, as small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.images.counting import counted
from headroles.images.images import FolderImages
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.reports.album import Album
from headroles.reports.evidence import Illustrations, Match, Search, SharedValues
from headroles.reports.examples import find_examples
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_heads import check_model, choose_heads
from headroles.roles.role_map import RoleMap
from headroles.shapes.world import ABSENT
from headroles.uses.head_space import head_weights
from headroles.uses.hits import find_hits
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import index_in_memory
from headroles.uses.precision_at_k import chance
from headroles.uses.query import Query
from headroles.uses.search import search_index

_QUERIES, _TOP, _NEAREST = 4, 6, 10
"""Queries; neighbours that are shown; neighbours that the precision counts."""


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

    The queries, which every head shows too, are drawn with `seed`; examples come for heads in order of entropy, as long
    as pictures may be added.
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
    album = Album(images.images, numbers, model)
    rows = np.random.default_rng([seed, 8]).permutation(len(index))[:_QUERIES].tolist()
    searches = [
        _search(index, row, name, weights[name], labels.get(name), album)
        for row in counted(rows, "searching", len(rows), "query")
        for name in concepts
    ]
    examples = find_examples(model, role_map, index, album, rows, batch)
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


def _search(
    index: ImageIndex,
    row: int,
    concept: str,
    weights: Float[ndarray, "layer head"],
    labels: tuple[Sequence[str], Int[ndarray, "row"]] | None,
    album: Album,
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
