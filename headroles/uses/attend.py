"""attend(): where do heads look on these images?"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.ablation import cut_parts, record_ablation
from headroles.heads.parts import find_projectors
from headroles.images.images import Images, Preprocess, batches, count_images, with_preprocess
from headroles.images.notes import warn
from headroles.images.pictures import Given, encode_pixels, is_open, open_given
from headroles.images.reading import announce, describe_images
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import Chosen, Heads, attribute_heads, choose_parts
from headroles.roles.role_map import RoleMap
from headroles.uses.attended import Attended, HeadView, ImageView
from headroles.uses.head_views import HeadViews, texts_of, view_heads
from headroles.uses.map_scores import MapScores
from headroles.uses.masks import SUM, HeadScore, check_masks, open_masks


@typed
def attend(
    role_map: RoleMap | str | os.PathLike[str],
    images: Given,
    *,
    heads: Heads | None = None,
    concept: str | None = None,
    any_role: bool = False,
    every: bool = False,
    text: str | None = None,
    attention: bool = False,
    masks: str | os.PathLike[str] | None = None,
    model: HookedCLIP | str | None = None,
    device: str = "auto",
    batch: int = 16,
) -> Attended:
    """What every patch of the images adds to each head's part of the embedding, along a text.

    `role_map`: the map, its file or its folder. `images`: image files and folders, PIL images, arrays, or images that
    are open already. The heads are those by name ("L6.H3,L7.*"), the Attribute heads of a concept (`any_role`: all
    heads of it), or every Attribute head. `text`: None for each head's own first text. `attention`: where there is
    none, or the model reads no texts, look at attention alone; all that takes a text is None then. `masks`: a
    folder of PNG files named as the images, which show what maps should find (`headroles.uses.masks`). `model`: None
    for the one that the map names. Raises InputError where a file, a head or a mask lacks, an image that was named
    cannot be read, a head is cut, or attention pools the model's embedding; what cannot be read in a folder is left out
    and said.
    """
    scored = RoleMap.of(role_map)
    check_masks(masks)
    chosen = _choose(scored, heads, concept, any_role, every)
    alone = attention and text is None
    roles = [each.role for each in chosen]
    texts = None if alone and any(not head.texts for head in roles) else _texts_of(chosen, text)
    opened = open_given(images)
    clip = open_model(scored, model, device)
    if alone and clip.text is None:
        texts = None
    ready = opened if is_open(images) else with_preprocess(opened, preprocess_of(clip))
    reading = announce(describe_images(ready, "images", reader=None if texts is None else clip))
    directions = None if texts is None else clip.embed_texts(texts)
    views, broken = view_images(clip, ready, chosen, texts, directions, batch)
    scores = () if masks is None else _score(views, masks, preprocess_of(clip))
    return Attended(scored.model, record_ablation({}), views, reading=reading.to_dict(), broken=broken, scores=scores)


def _score(views: Sequence[ImageView], folder: str | os.PathLike[str], preprocess: Preprocess) -> tuple[HeadScore, ...]:
    """How well every head's maps find what masks show, and all of them together where they look along one text."""
    masks = open_masks(folder, [view.image for view in views], preprocess)
    texts = {head.text for head in views[0].heads}
    quantity = "attention" if None in texts else "contribution"
    grids = torch.tensor(np.array([[head.grid(quantity) for head in view.heads] for view in views]))
    found = [HeadScore.of(head.head, MapScores.of(grids[:, row], masks)) for row, head in enumerate(views[0].heads)]
    if len(found) > 1 and quantity == "contribution" and len(texts) == 1:
        found.append(HeadScore.of(SUM, MapScores.of(grids.sum(1), masks)))
    return tuple(found)


def _choose(
    role_map: RoleMap, heads: Heads | None, concept: str | None, any_role: bool, every: bool
) -> tuple[Chosen, ...]:
    """The heads, or directions of heads, that are asked for, none of them cut."""
    if every and (heads is not None or concept is not None):
        raise InputError("--all draws every Attribute head; leave out --heads and --concept")
    if every:
        heads = ",".join(head.name for head in attribute_heads(role_map))
    chosen = choose_parts(role_map, heads, concept, any_role)
    gone = cut_parts(role_map.model.layers, role_map.model.heads)
    if any(each.part.within(gone) for each in chosen):
        raise InputError("a head that --ablate cuts looks nowhere; choose others")
    return chosen


def _texts_of(chosen: Sequence[Chosen], text: str | None) -> tuple[str, ...]:
    """One text each: `text`, or the first of the head, or of the strongest of its directions that are meant."""
    return tuple(
        texts_of([each.role], text)[0] if text is not None or not each.part.directions else _direction_text(each)
        for each in chosen
    )


def _direction_text(chosen: Chosen) -> str:
    for each in chosen.role.directions:
        if each.number in chosen.part.directions:
            side = max((each.plus, each.minus), key=lambda side: side.fidelity)
            if side.texts:
                return side.texts[0].text
    name = chosen.part.name
    raise InputError(f"text: {name} has no text of its own in this role map; give --text, or score --by weights")


def view_images(
    model: HookedCLIP,
    images: Images,
    heads: Sequence[Chosen],
    texts: Sequence[str] | None,
    directions: Float[Tensor, "head embed"] | None,
    batch: int = 16,
) -> tuple[tuple[ImageView, ...], dict[str, str]]:
    """`view_heads` on every image, in order; and the names of those that cannot be read, with why.

    Raises InputError for one that was asked for by name, or where none can be read.
    """
    places, found, broken = [each.part.place for each in heads], [], dict[str, str]()
    projectors = find_projectors(model.visual, [each.part for each in heads])
    for index, pixels, errors in count_images(batches(images, batch), "looking at images", len(images)):
        broken |= _leave_out(images, errors)
        if not len(index):
            continue
        views = view_heads(model, pixels, places, directions, projectors)
        for outputs in (views.contribution, views.attention, views.cosine):
            check_rows(outputs, images.name, index.tolist())
        for row, number in enumerate(index.tolist()):
            own = tuple(
                _view(views, row, place, head, None if texts is None else texts[place])
                for place, head in enumerate(heads)
            )
            found.append(ImageView(images.name(number), encode_pixels(pixels[row], model.processor), own))
    if broken and not found:
        raise _unreadable(*next(iter(broken.items())))
    if broken:
        warn(f"left out {len(broken)} of {len(images)} images: " + _describe_broken(broken))
    return tuple(found), broken


def _leave_out(images: Images, errors: Collection[tuple[int, str]]) -> dict[str, str]:
    """Name -> why it cannot be read; InputError for what was asked for by name."""
    for number, error in errors:
        if number in getattr(images, "named", ()):
            raise _unreadable(images.name(number), error)
    return {images.name(number): error for number, error in errors}


def _unreadable(name: str, error: str) -> InputError:
    return InputError(f"image: {name} cannot be read ({error}); mend or leave it out")


def _describe_broken(broken: dict[str, str]) -> str:
    """The first few, and how many more."""
    few = [f"{name} ({error})" for name, error in list(broken.items())[:3]]
    return "; ".join(few) + (f"; and {len(broken) - 3} more" if len(broken) > 3 else "")


def _view(views: HeadViews, row: int, place: int, chosen: Chosen, text: str | None) -> HeadView:
    """Plain numbers of one image and head; None for all that takes a text, where there is none."""
    split, looks = views.contribution[row, place], views.attention[row, place]
    return HeadView(
        head=chosen.part.name,
        role=chosen.role.role,
        concept=chosen.role.leading,
        text=text,
        contribution=None if text is None else split.sum().item(),
        contribution_of_cls=None if text is None else split[0].item(),
        contribution_of_patches=None if text is None else _rows(views.grid("contribution")[row, place]),
        attention_to_cls=looks[0].item(),
        attention_to_patches=_rows(views.grid("attention")[row, place]),
        cosine=None if text is None else views.cosine[row, place].item(),
        contribution_of_registers=None if text is None else _registers(split, views.patches),
        attention_to_registers=_registers(looks, views.patches),
    )


def _registers(tokens: Float[Tensor, "token"], patches: int) -> float | None:
    """What lies between CLS and the patches."""
    between = tokens[1:-patches]
    return between.sum().item() if len(between) else None


def _rows(grid: Float[Tensor, "row column"]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, grid.tolist()))
