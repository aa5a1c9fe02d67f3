"""Masks of an item in images, from a folder of PNG files; and how well heads' maps find that item."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from headroles.errors import InputError, said
from headroles.files.ranges import Count, Share
from headroles.images.images import UNREADABLE, Preprocess, open_image
from headroles.images.pictures import restore
from headroles.uses.map_scores import MEASURES, MapScores, draw_images

SUM = "sum"
"""In place of a head's name: all heads' contributions along one text, added."""
_DRAWS = 1000


@dataclass(frozen=True)
class HeadScore:
    """How well a head's maps find the item that masks show (`headroles.MapScores`), with 95% intervals over images."""

    head: str
    """The head; "sum" for all of them together, where they were looked at along one text."""
    images: Count
    """How many."""
    pixel_accuracy: Share
    """Share of pixels called rightly, where above the map's mean is the item."""
    mean_iou: Share
    """Intersection over union, mean of item and rest."""
    mean_precision: Share
    """Average precision of the item's pixels, mean over images."""
    pixel_accuracy_interval: tuple[float, float] | None
    """None of a single image, as all intervals."""
    mean_iou_interval: tuple[float, float] | None
    """Of mean IoU."""
    mean_precision_interval: tuple[float, float] | None
    """Of mean precision."""

    @classmethod
    def of(cls, head: str, scores: MapScores) -> HeadScore:
        """From what each image's map gets right."""
        count = len(scores.precision)
        drawn = [of(scores, draw_images(count, _DRAWS, 0)) for of in MEASURES.values()]
        ends = [None if count < 2 else tuple(np.quantile(each[1:], [0.025, 0.975]).tolist()) for each in drawn]
        return cls(head, count, *(float(each[0]) for each in drawn), *ends)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return (
            f"{self.head}: pixel accuracy {self.pixel_accuracy:.3f}, mIoU {self.mean_iou:.3f}, mAP "
            f"{self.mean_precision:.3f} over {self.images} image{'s' * (self.images > 1)} with masks"
        )


def open_masks(
    folder: str | os.PathLike[str], names: Sequence[str], preprocess: Preprocess
) -> Bool[Tensor, "image height width"]:
    """The masks of images by name, resized and cropped as their images are; what is light, or not black, is the item.

    A mask is FOLDER/NAME.png for NAME.jpg, with or without the folders of the name. Raises InputError where one lacks,
    cannot be read, or shows no item, or nothing else, within what the model sees.
    """
    found = []
    for name in names:
        path = _find(Path(folder), name)
        try:
            picture = open_image(path)
        except UNREADABLE as error:
            raise InputError(f"masks: {path} cannot be read ({said(error)}); mend it") from error
        bright = picture.convert("L").point(lambda value: 255 if value else 0)
        mask = torch.from_numpy(restore(preprocess(bright.convert("RGB")), preprocess)[..., 0]) >= 0.5
        if mask.all() or not mask.any():
            what = "nothing but the item" if mask.all() else "no item"
            raise InputError(f"masks: {path} shows {what} in what the model sees; leave that image out")
        found.append(mask)
    return torch.stack(found)


def check_masks(folder: str | os.PathLike[str] | None) -> None:
    """InputError where this is no folder; None is none."""
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"masks: expected a folder of PNG files, there is no folder {folder}")


def _find(folder: Path, name: str) -> Path:
    places = [folder / f"{Path(part).with_suffix('')}.png" for part in (name.lstrip("/"), Path(name).name)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"masks: {folder} has no {places[-1].name} for image {name}; add it or leave that image out")
    return path
