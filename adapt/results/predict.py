"""Classes of single images, from an adapter; the classes may be any words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.dear import Dear
from headroles.errors import InputError
from headroles.images.images import UNREADABLE, find_images, open_image
from headroles.images.prompts import write_prompts


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
    dear: Dear,
    images: Sequence[Path],
    classes: Sequence[str],
    template: str,
    batch: int = 64,
    broken: Callable[[Path, str], None] | None = None,
) -> list[Prediction]:
    """Predictions for image files (a folder stands for the images below it), among `classes`.

    `template` holds {} for the class. `broken` is called with every unreadable file of a folder, which is left out, and
    with why it is; without `broken`, and for files that are named themselves, InputError is raised, as where `classes`
    has fewer than two different names.
    """
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"classes must be two or more different names, got {', '.join(classes) or 'none'}")
    prompts = write_prompts(template, classes)
    texts = dear.encode_texts(dear.text_trunk(prompts))
    found, opened = [], _open_all(images, dear, broken)
    while part := list(itertools.islice(opened, batch)):
        pixels = torch.stack([pixels for _, pixels in part])
        for (path, _), row in zip(part, dear.predict(pixels, texts).tolist(), strict=True):
            order = sorted(range(len(classes)), key=lambda number, row=row: -row[number])
            names = tuple(classes[number] for number in order)
            found.append(Prediction(str(path), names, tuple(row[number] for number in order)))
    return found


def _open_all(
    images: Sequence[Path], dear: Dear, broken: Callable[[Path, str], None] | None
) -> Iterator[tuple[Path, Float[Tensor, "3 height width"]]]:
    for image in images:
        is_folder = image.is_dir()
        for path in find_images(image) if is_folder else [image]:
            try:
                yield path, dear.model.processor(open_image(path))
            except UNREADABLE as error:
                if not (is_folder and broken):
                    remedy = "give an image file or a folder of them"
                    raise InputError(f"image: cannot read {path} ({error}); {remedy}") from error
                broken(path, str(error))
