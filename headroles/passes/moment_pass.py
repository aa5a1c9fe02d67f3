"""The pass that scoring by texts rests on: head moments of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.constants import observe_spread, spread_moments
from headroles.heads.moments import HeadMoments
from headroles.images.blocks import Blocking
from headroles.images.images import Images
from headroles.images.sources.stream import StreamedImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import check_precision
from headroles.passes.head_pass import fold_heads
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen


def fold_moments(
    model: HookedCLIP,
    images: Images | StreamedImages,
    layers: Sequence[int],
    blocks: int,
    options: PassOptions,
    *,
    precision: str = "no",
    blocking: Blocking | None = None,
    constants: str = "apart",
    **more: Any,
) -> tuple[HeadMoments, Seen]:
    """Head moments of this process's part of the images, and what went into them, in `blocks` blocks at most.

    `blocking`: what decides an image's block, whoever reads it; None: its place among all images. `constants`: one of
    `headroles.heads.constants.CONSTANTS`. `more`: as in `fold_heads`. Raises InputError as `run_pass`.
    """
    check_precision(model.device, precision)
    blocking, spread = blocking or Blocking.of(images), constants == "heads"
    moments = (spread_moments if spread else HeadMoments.empty)(model, layers, blocking.limit(blocks), blocking.how)
    cut, settings = blocking.cut(len(moments.count)), blocking.describe()
    if spread:
        more, settings = {**more, "observe": observe_spread}, {**settings, "constants": constants}

    def add(number: Int[Tensor, "image"], u: Float[Tensor, "image layer head width"]) -> None:
        moments.update(u, cut.of(number))

    return moments, fold_heads(model, images, moments, add, options, precision=precision, settings=settings, **more)
