"""A task's images as preprocessed pixels, cropped and mirrored at random where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from headroles.adapt.data.examples import Example
from headroles.adapt.data.image_memo import recall
from headroles.images.images import Preprocess

AREA = (0.5, 1.0)
"""Share of the image that a random crop keeps."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a random crop."""
_TRIES = 10


@dataclass
class TaskImages(Dataset):
    """Examples by index: (index, pixels (3, height, width), label).

    With `augment`, a random crop is resized to the model's input and mirrored half the time; the crop depends on
    (seed, epoch, index) alone, so neither workers nor the order of visits change it. An unreadable file raises
    InputError that names it.
    """

    examples: Sequence[Example]
    preprocess: Preprocess
    augment: bool = False
    seed: int = 1
    epoch: int = 0
    """Number of the pass, or of the view where views are fixed; set it between passes."""

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[int, Float[Tensor, "3 height width"], int]:
        pixels = recall(("pixels", *self.key(index)), lambda: self._prepare(index), view=self.augment)
        return index, pixels, self.examples[index].label

    def key(self, index: int) -> tuple[Any, ...]:
        """Which image this is, and as what it is seen: equal where the pixels are."""
        view = (self.seed, self.epoch, index) if self.augment else None
        return self.examples[index].source, view

    def _prepare(self, index: int) -> Float[Tensor, "3 height width"]:
        image = self.examples[index].open()
        if self.augment:
            rng = np.random.default_rng([self.seed, self.epoch, index])
            image = crop_and_mirror(image, self._side, rng)
        return self.preprocess(image)

    @cached_property
    def _side(self) -> int:
        """Side of the model's input: a crop that already has it is not resampled a second time."""
        return self.preprocess(Image.new("RGB", (8, 8))).shape[-1]


def crop_and_mirror(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random crop of the image (`AREA`, `RATIO`), bicubic to side x side, mirrored half the time."""
    image = image.resize((side, side), Image.Resampling.BICUBIC, box=_crop_box(*image.size, rng))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _crop_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; the central square where no draw fits, as in a very long image."""
    for _ in range(_TRIES):
        area = width * height * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(*np.log(RATIO)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w = h = min(width, height)
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
