"""The pictures of a page, each once, as small files."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from PIL import Image
from torch import Tensor

from headroles.images.images import ImageFiles, ShapesImages
from headroles.models.hooked_clip import HookedCLIP

_PICTURES, _SIDE = 700, 80
"""Most pictures, and pixels of their longer side: some 2 MB in all."""


class Album:
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

    def take(self, rows: Iterable[int]) -> bool:
        """Add all of these pictures, or none where the page has no room for them."""
        rows = list(rows)
        fresh = {str(int(self.numbers[row])) for row in rows} - self.pictures.keys()
        if len(self.pictures) + len(fresh) > _PICTURES:
            return False
        for row in rows:
            self.add(row)
        return True
