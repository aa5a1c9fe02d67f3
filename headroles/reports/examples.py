"""What a head adds to its texts on which images: most, least, and at random, with the patches that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from headroles.images.counting import counted
from headroles.models.hooked_clip import HookedCLIP
from headroles.reports.album import Album
from headroles.reports.evidence import Example, HeadExamples, Histogram, NearestImages
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.uses.head_views import view_heads
from headroles.uses.image_index import ImageIndex

_IMAGES, _TEXTS, _BINS = 3, 3, 24
"""Images that a head adds most or least on, texts of a head, bins of its histogram."""
_PATCHES = 200_000
"""Numbers of all heat maps: some 1.5 MB."""

Place = tuple[HeadRole, int]
"""A head and the row of an image."""


@torch.inference_mode()
def find_examples(
    model: HookedCLIP, role_map: RoleMap, index: ImageIndex, album: Album, drawn: Sequence[int], batch: int
) -> dict[str, HeadExamples]:
    """For every head, lowest entropy first, as long as the album has room for the images that it adds most on.

    `drawn`: rows of images that were drawn at random. Heat maps come as long as the page has room, those of the images
    that heads add most on first. None at all with a model that reads no texts, or whose embedding is pooled over
    tokens: `attend` says why.
    """
    heads = [head for head in role_map.heads() if head.texts]
    if not heads or model.text is None or model.tokenizer is None or not model.visual.at_row:
        return {}
    directions = _embed(model, heads)
    layers = {layer: place for place, layer in enumerate(role_map.layers)}
    written: dict[str, Float[ndarray, "text image"]] = {}
    for head in heads:
        own, place = torch.stack([directions[text.text] for text in head.texts[:_TEXTS]]), layers[head.layer]
        parts = index.heads[:, place, head.head] @ (index.bases[place, head.head] @ own.float().cpu().numpy().T)
        if not album.take(_most(parts[:, 0])):
            break
        written[head.name] = parts.T
    kept = heads[: len(written)]
    shown = [_rows(written[head.name][0], drawn, album) for head in kept]
    places = [(head, row) for side in range(3) for head, own in zip(kept, shown, strict=True) for row in own[side]]
    mapped = places[: _PATCHES // model.grid[0] ** 2]
    maps = _heat_maps(model, mapped, directions, album, batch)
    return {head.name: _show(head, written[head.name], own, maps, album) for head, own in zip(kept, shown, strict=True)}


def _embed(model: HookedCLIP, heads: Sequence[HeadRole]) -> dict[str, Float[Tensor, "embed"]]:
    """Unit embeddings of all texts that are shown, each computed once."""
    texts = list(dict.fromkeys(text.text for head in heads for text in head.texts[:_TEXTS]))
    return dict(zip(texts, model.embed_texts(texts), strict=True))


def _most(parts: Float[ndarray, "image"]) -> list[int]:
    """Rows of the images with the most, best first."""
    return np.argsort(-parts, kind="stable")[:_IMAGES].tolist()


def _rows(parts: Float[ndarray, "image"], drawn: Sequence[int], album: Album) -> tuple[list[int], ...]:
    """Rows with the most and the least, no image twice, and drawn ones; none where the album has no room for them."""
    top = _most(parts)
    least = [row for row in _most(-parts) if row not in top]
    return top, least if album.take(least) else [], list(drawn[:_IMAGES])


def _show(
    head: HeadRole,
    written: Float[ndarray, "text image"],
    rows: Sequence[Sequence[int]],
    maps: Mapping[tuple[str, int], tuple[float, ...]],
    album: Album,
) -> HeadExamples:
    def example(row: int, text: int = 0) -> Example:
        patches = maps.get((head.name, row), ()) if text == 0 else ()
        return Example(album.add(row), float(f"{written[text, row]:.6g}"), patches)

    top, bottom, drawn = (tuple(example(row) for row in side) for side in rows)
    nearest = {text: _most(written[text]) for text in range(1, len(written))}
    later = [
        NearestImages(head.texts[text].text, tuple(example(row, text) for row in own))
        for text, own in nearest.items()
        if album.take(own)
    ]
    return HeadExamples(top, bottom, drawn, _count(written[0]), tuple(later))


def _count(parts: Float[ndarray, "image"]) -> Histogram:
    counts, edges = np.histogram(parts.astype(float), _BINS)
    return Histogram(float(f"{edges[0]:.6g}"), float(f"{edges[-1]:.6g}"), tuple(counts.tolist()))


def _heat_maps(
    model: HookedCLIP, places: Sequence[Place], directions: Mapping[str, Tensor], album: Album, batch: int
) -> dict[tuple[str, int], tuple[float, ...]]:
    """Head and row -> what each patch adds to the head's first text, three digits of it."""
    asked: dict[int, dict[str, HeadRole]] = {}
    for head, row in places:
        asked.setdefault(row, {})[head.name] = head
    rows, maps = sorted(asked), {}
    parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    for part in counted(parts, "looking at images", len(rows), size=len):
        heads = {name: head for row in part for name, head in asked[row].items()}
        along = torch.stack([directions[head.texts[0].text] for head in heads.values()])
        pixels = torch.stack([album.pixels(row) for row in part])
        views = view_heads(model, pixels, [(head.layer, head.head) for head in heads.values()], along)
        for image, row in enumerate(part):
            for place, name in enumerate(heads):
                if name in asked[row]:
                    maps[name, row] = _round(views.contribution[image, place, -views.patches :])
    return maps


def _round(values: Float[Tensor, "patch"]) -> tuple[float, ...]:
    return tuple(float(f"{value:.3g}") for value in values.tolist())
