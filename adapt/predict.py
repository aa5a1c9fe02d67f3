"""Classes of single images, from an adapter; the classes may be any words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from headroles.adapt.dear import Dear
from headroles.errors import InputError
from headroles.images import UNREADABLE, find_images, open_image
from headroles.prompts import write_prompts


@dataclass(frozen=True)
class Prediction:
    """What an adapter sees in one image."""

    image: str
    """Path of the file."""
    classes: tuple[str, ...]
    """Class names, likeliest first."""
    probabilities: tuple[float, ...]
    """Softmax over the given classes, in the same order; they sum to 1."""


@torch.inference_mode()
def predict_images(
    dear: Dear, images: Sequence[Path], classes: Sequence[str], template: str, batch: int = 64
) -> list[Prediction]:
    """Predictions for image files (a folder stands for the images below it), among `classes`.

    `template` holds {} for the class. Raises InputError where a file is no readable image, or `classes` has fewer than
    two different names.
    """
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"classes must be two or more different names, got {', '.join(classes) or 'none'}")
    prompts = write_prompts(template, classes)
    paths = [path for image in images for path in (find_images(image) if image.is_dir() else [image])]
    texts = dear.encode_texts(dear.text_trunk(prompts))
    found = []
    for start in range(0, len(paths), batch):
        part = paths[start : start + batch]
        pixels = torch.stack([_open(path, dear) for path in part])
        for path, row in zip(part, dear.predict(pixels, texts).tolist(), strict=True):
            order = sorted(range(len(classes)), key=lambda number, row=row: -row[number])
            names = tuple(classes[number] for number in order)
            found.append(Prediction(str(path), names, tuple(row[number] for number in order)))
    return found


def _open(path: Path, dear: Dear) -> Tensor:
    try:
        return dear.model.processor(open_image(path))
    except UNREADABLE as error:
        raise InputError(f"image: cannot read {path} ({error}); give an image file or a folder of them") from error
