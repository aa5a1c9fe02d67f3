"""The pass over images that scoring rests on: head moments of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.ablation import record_ablation
from headroles.heads.moments import HeadMoments, observe
from headroles.images.images import Images
from headroles.images.sources.stream import StreamedImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import check_precision
from headroles.passes.image_pass import PassOptions, Progress, run_pass
from headroles.passes.memory_fit import FittingForward
from headroles.passes.state import Seen

if TYPE_CHECKING:
    from headroles.heads.value_moments import ValueMoments


def describe_forward(moments: HeadMoments | ValueMoments, precision: str) -> dict[str, Any]:
    """All of the forward and its sums that a pass depends on, as plain values."""
    return record_ablation(
        {
            "weights": moments.weights_hash,
            "layers": list(moments.layers),
            "blocks": len(moments.count),
            "precision": precision,
        }
    )


def fold_moments(
    model: HookedCLIP,
    images: Images | StreamedImages,
    layers: Sequence[int],
    blocks: int,
    options: PassOptions,
    *,
    precision: str = "no",
    fit: bool = False,
    progress: Progress | None = None,
) -> tuple[HeadMoments, Seen]:
    """Head moments of this process's part of the images, and what went into them; an image's number gives its block.

    `fit`: forward in halves where the device's memory does not take a whole unit. Raises InputError as `run_pass`.
    """
    check_precision(model.device, precision)
    moments = HeadMoments.empty(model, layers, blocks)
    forward = FittingForward(partial(observe, model, layers=layers, precision=precision), fit)
    settings = describe_forward(moments, precision)

    def fold(number: Int[Tensor, "image"], pixels: Float[Tensor, "image 3 height width"]) -> None:
        moments.update(forward(pixels), number % len(moments.count))

    return moments, run_pass(images, moments.sums(), fold, options, settings, progress)
