"""Gallery: the images that are explored, what every scored head writes on each, and small pictures of them."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image
from torch import Tensor

from headroles.errors import InputError, said
from headroles.heads.moments import observe_with_embedding
from headroles.images.images import UNREADABLE, open_image, printable
from headroles.images.labelled import LabelledImages
from headroles.images.pictures import restore
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.own_model import preprocess_of
from headroles.shapes.world import ABSENT
from headroles.uses.index_build import index_in_memory

_ADDED = 100
"""Images of a visitor's own that are kept: each holds its pixels."""
_KEPT = 32
"""Images whose pixels are kept, the latest."""


class Gallery:
    """Readable images by id ("0", "1", ...); a visitor's own come behind those that it was opened with."""

    def __init__(
        self,
        model: HookedCLIP,
        images: LabelledImages,
        layers: tuple[int, ...],
        batch: int = 64,
        workers: int = 0,
    ) -> None:
        """One pass over the images. InputError where none can be read."""
        self.model, self.images, self.layers = model, images, layers
        index, self.numbers = index_in_memory(model, images.images, layers, batch, workers)
        self.heads, self.embeddings, self.bases = index.heads, index.embeddings, index.bases
        self.names, self.broken = [*index.names], len(index.broken)
        self.first = len(index)
        self.mean: Float[ndarray, "layer head width"] = self.heads.mean(0)
        self._own: dict[int, Tensor] = {}
        self._pixels: dict[int, Tensor] = {}
        self._urls: dict[tuple[int, int], str] = {}

    def __len__(self) -> int:
        return len(self.names)

    def row(self, name: Any) -> int:
        """Where an image is, by its id; InputError for another."""
        if not isinstance(name, str) or not name.isdecimal() or len(name) > 9 or int(name) >= len(self):
            raise InputError(f"image: expected an id from '0' to '{len(self) - 1}', got {str(name)[:60]!r}")
        return int(name)

    def pixels(self, row: int) -> Float[Tensor, "3 height width"]:
        """What the model sees."""
        if row in self._own:
            return self._own[row]
        if row not in self._pixels:
            found = self.images.images[int(self.numbers[row])][1]
            if isinstance(found, str):
                raise InputError(f"image: {self.names[row]} cannot be read any more ({found}); choose another")
            self._pixels[row] = found
            if len(self._pixels) > _KEPT:
                del self._pixels[next(iter(self._pixels))]
        return self._pixels[row]

    def add(self, content: bytes, name: str | None = None) -> int:
        """One more image, from the bytes of its file; its row. InputError where they are no image."""
        if len(self._own) >= _ADDED:
            raise InputError(f"image: {_ADDED} images were added already; open again to add others")
        try:
            picture = open_image(io.BytesIO(content))
        except UNREADABLE as error:
            raise InputError(f"image: it cannot be read ({said(error)}); give a JPEG, a PNG or the like") from error
        return self._keep(preprocess_of(self.model)(picture), printable(name or f"your image {len(self._own) + 1}"))

    def _keep(self, pixels: Float[Tensor, "3 height width"], name: str) -> int:
        u, embedding = observe_with_embedding(self.model, pixels[None], self.layers)
        for outputs in (u, embedding):
            check_rows(outputs, lambda _: name)
        self.heads = np.concatenate([self.heads, u.float().cpu().numpy()])
        self.embeddings = np.concatenate([self.embeddings, embedding.float().cpu().numpy()])
        self.names.append(name)
        self._own[len(self) - 1] = pixels
        return len(self) - 1

    def url(self, row: int, side: int) -> str:
        """The image as the model sees it, at most `side` pixels wide and high, as a data URL."""
        if (row, side) not in self._urls:
            levels = (restore(self.pixels(row).cpu(), self.model.processor) * 255).round().astype(np.uint8)
            self._urls[row, side] = _data_url(Image.fromarray(levels), side)
        return self._urls[row, side]

    def labels(self, row: int) -> dict[str, str]:
        """Concept -> the image's value, where it is labelled."""
        if row >= self.first:
            return {}
        codes = cast(Any, self.images.codes[self.numbers[row]])
        pairs = zip(self.images.concepts, codes.tolist(), strict=True)
        return {concept.name: concept.values[code] for concept, code in pairs if code != ABSENT}

    def describe(self, row: int, side: int) -> dict[str, Any]:
        """Id, name, labels and picture."""
        return {
            "image": str(row), "name": self.names[row], "labels": self.labels(row), "picture": self.url(row, side),
            "own": row >= self.first,
        }  # fmt: skip


def _data_url(picture: Image.Image, side: int) -> str:
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=88)
    return "data:image/jpeg;base64," + b64encode(content.getvalue()).decode()
