"""MapScores: how well heat maps tell an item's pixels from the rest, given masks of the item.

As heat maps of transformers are judged since Chefer et al. (arXiv 2012.09838, sec. 4): a map says "item" above its own
mean; pixel accuracy and mean IoU of the two classes are over all images' pixels together; average precision needs no
threshold, and is of the item's pixels in one image, averaged over images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate

from headroles.checks import typed
from headroles.errors import InputError


@dataclass(frozen=True)
class MapScores:
    """What one kind of heat map gets right, image by image, so that images can be drawn anew for intervals."""

    shared: Float[ndarray, "image 2"]
    """Pixels that map and mask both call rest (0), or item (1)."""
    joined: Float[ndarray, "image 2"]
    """Pixels that map or mask calls so."""
    precision: Float[ndarray, "image"]
    """Average precision of the item's pixels, in [0, 1]."""

    @classmethod
    @typed
    def of(cls, maps: Float[Tensor, "image row column"], masks: Bool[Tensor, "image height width"]) -> MapScores:
        """Hold maps, of patches or pixels, against masks; smaller maps are enlarged bilinearly to the masks' size.

        Raises InputError where their numbers differ, a map is no number, or a mask has no item, or nothing else.
        """
        _check(maps, masks)
        full = interpolate(maps[:, None].double(), masks.shape[1:], mode="bilinear")[:, 0].flatten(1)
        truth = masks.flatten(1)
        said = full > full.mean(1, keepdim=True)
        both = torch.stack([(~said & ~truth).sum(1), (said & truth).sum(1)], 1)
        either = torch.stack([(~said | ~truth).sum(1), (said | truth).sum(1)], 1)
        return cls(both.double().numpy(), either.double().numpy(), average_precision(full, truth).numpy())

    def pixel_accuracy(self, weights: Float[ndarray, "draw image"]) -> Float[ndarray, "draw"]:
        """Share of pixels called rightly; `weights`: how often each image counts, a row a draw."""
        pixels = self.shared[:, 0] + self.joined[:, 1]
        found: ndarray = (weights @ self.shared.sum(1)) / (weights @ pixels)
        return found

    def mean_iou(self, weights: Float[ndarray, "draw image"]) -> Float[ndarray, "draw"]:
        """Intersection over union, mean of item and rest."""
        found: ndarray = ((weights @ self.shared) / (weights @ self.joined)).mean(1)
        return found

    def mean_precision(self, weights: Float[ndarray, "draw image"]) -> Float[ndarray, "draw"]:
        """Average precision, mean over images: mAP."""
        found: ndarray = (weights @ self.precision) / weights.sum(1)
        return found


MEASURES: dict[str, Callable[[MapScores, ndarray], ndarray]] = {
    "pixel accuracy": MapScores.pixel_accuracy,
    "mIoU": MapScores.mean_iou,
    "mAP": MapScores.mean_precision,
}
"""Name -> how it is computed."""


def draw_images(images: int, draws: int, seed: int) -> Float[ndarray, "draw image"]:
    """Weights for `MapScores`: first of all images once, then of bootstrap draws."""
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws)
    return np.vstack([np.ones((1, images)), drawn])


def average_precision(
    scores: Float[Tensor, "image pixel"], truth: Bool[Tensor, "image pixel"]
) -> Float[Tensor, "image"]:
    """Mean, over an image's true pixels, of the precision among all pixels that score at least as high."""
    falling, order = scores.sort(dim=1, descending=True)
    true = truth.gather(1, order).double()
    last = torch.searchsorted(-falling, -falling, right=True)  # How many score at least as high: ties count alike.
    precision = true.cumsum(1).gather(1, last - 1) / last
    return (precision * true).sum(1) / true.sum(1)


def item_sums(
    maps: Float[Tensor, "image row column"], masks: Float[Tensor, "image height width"]
) -> Float[ndarray, "image 2"]:
    """What of a map's sum lies on the item, and all of it; `masks` in [0, 1] are cut into as many patches as the map.

    Shares of many images are ratios of sums over images: a map without anything in it has no share of its own.
    """
    rows, columns = maps.shape[1:]
    cover = masks.unflatten(2, (columns, -1)).unflatten(1, (rows, -1)).double().mean((2, 4))
    return torch.stack([(maps.double() * cover).sum((1, 2)), maps.double().sum((1, 2))], 1).numpy()


def _check(maps: Tensor, masks: Tensor) -> None:
    if len(maps) != len(masks) or not len(maps):
        raise InputError(f"masks: expected one a map and at least one map, got {len(masks)} and {len(maps)}")
    if not maps.isfinite().all():
        raise InputError("maps: some hold numbers that are not finite; mend the model or leave those images out")
    covered = masks.flatten(1).double().mean(1)
    empty = ((covered == 0) | (covered == 1)).nonzero()
    if len(empty):
        what = "all item" if covered[empty[0, 0]] else "no item"
        raise InputError(f"masks: mask {int(empty[0, 0]) + 1} has {what}; leave that image out")
