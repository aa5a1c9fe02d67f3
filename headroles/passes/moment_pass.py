"""The pass that scoring by texts rests on: head moments of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.constants import observe_spread, spread_moments
from headroles.heads.moments import HeadMoments
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
    constants: str = "apart",
    **more: Any,
) -> tuple[HeadMoments, Seen]:
    """Head moments of this process's part of the images, and what went into them; an image's number gives its block.

    `constants`: one of `headroles.heads.constants.CONSTANTS`. `more`: as in `fold_heads`. Raises InputError as
    `run_pass`.
    """
    check_precision(model.device, precision)
    spread = constants == "heads"
    moments = (spread_moments if spread else HeadMoments.empty)(model, layers, blocks)
    if spread:
        more = {**more, "observe": observe_spread, "settings": {**(more.get("settings") or {}), "constants": constants}}

    def add(number: Int[Tensor, "image"], u: Float[Tensor, "image layer head width"]) -> None:
        moments.update(u, number % len(moments.count))

    return moments, fold_heads(model, images, moments, add, options, precision=precision, **more)
