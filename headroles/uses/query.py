"""The image that a search begins with: one of the indexed ones, or one from outside that a model has to read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from headroles.errors import InputError, said
from headroles.images.images import UNREADABLE, open_image, printable
from headroles.images.pictures import Picture, encode_picture, to_picture
from headroles.roles.own_model import preprocess_of
from headroles.uses.image_index import ImageIndex

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

QueryImage: TypeAlias = "str | os.PathLike[str] | Picture | int"
"""An image file, a picture, the number of an indexed row; or an indexed image's name, where it is of no folder."""
_THUMB = 256
"""Pixels of the longer side of a query's picture that a result keeps."""


@dataclass(frozen=True)
class Query:
    """An image to search with."""

    name: str
    heads: Float[ndarray, "layer head width"]
    embedding: Float[ndarray, "embed"]
    row: int | None = None
    """Its row of the index, which is not its own neighbour; None for an image from outside."""
    picture: str | None = None
    """A small picture of an image from outside, as `headroles.images.pictures` keeps it."""


def find_query(index: ImageIndex, query: QueryImage, folder: Path | None, model: HookedCLIP | None) -> Query:
    """The query's row, where it is one of the indexed images, or the image itself, read with `model`."""
    row = find_row(index, query, folder)
    if row is not None:
        return Query(index.names[row], np.array(index.heads[row]), np.array(index.embeddings[row]), row)
    if model is None:
        raise InputError(f"query: {query} is not in the index, and there is no model to read it with")
    from headroles.heads.moments import observe_with_embedding  # A search that reads no image needs no model's code.
    from headroles.models.finite import check_rows

    picture = open_query(query)
    pixels = preprocess_of(model)(picture)
    heads, embedding = observe_with_embedding(model, pixels[None], index.layers)
    for outputs in (heads, embedding):
        check_rows(outputs, lambda _: f"the query {query}" if isinstance(query, (str, os.PathLike)) else "the query")
    picture.thumbnail((_THUMB, _THUMB))
    name = printable(Path(query).name) if isinstance(query, (str, os.PathLike)) else "query"
    return Query(
        name, heads[0].float().cpu().numpy(), embedding[0].float().cpu().numpy(), None, encode_picture(picture)
    )


def find_row(index: ImageIndex, query: QueryImage, folder: Path | None) -> int | None:
    """The row of the index that a query is; None for an image from outside. InputError for a number without a row."""
    if isinstance(query, (int, np.integer)):
        if not 0 <= query < len(index):
            raise InputError(f"query: there is no row {query}; the index has rows 0-{len(index) - 1}")
        return int(query)
    if not isinstance(query, (str, os.PathLike)):
        return None
    if folder is None:
        return index.row(printable(str(query)))
    path, folder = Path(query).resolve(), folder.resolve()
    return index.row(printable(path.relative_to(folder).as_posix())) if path.is_relative_to(folder) else None


def check_query(query: QueryImage, folder: Path | None) -> None:
    """InputError for a file that lacks, or from outside the folder cannot be read: said before a folder is indexed."""
    if isinstance(query, (int, np.integer)):
        return
    if not isinstance(query, (str, os.PathLike)):
        to_picture(query)
    elif not Path(query).is_file():
        if folder is not None:
            raise InputError(f"query: there is no file {query}; give an image")
    elif folder is None or not Path(query).resolve().is_relative_to(folder.resolve()):
        open_query(query)


def open_query(query: QueryImage) -> Image.Image:
    """The picture; InputError where it cannot be read."""
    if isinstance(query, (int, np.integer)):
        raise InputError(f"query: {query} is a row's number, and no picture")
    if not isinstance(query, (str, os.PathLike)):
        return to_picture(query)
    try:
        return open_image(query)
    except UNREADABLE as error:
        why = f"{type(error).__name__}: {said(error)}"
        raise InputError(f"query: {query} cannot be read ({why}); give another image") from error
