"""The pass over images that scoring rests on: one forward an image, its heads' outputs folded into sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.ablation import record_ablation
from headroles.heads.moments import observe
from headroles.images.images import Images
from headroles.images.sources.stream import StreamedImages
from headroles.models.finite import FiniteRows
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress, run_pass
from headroles.passes.memory_fit import FittingForward
from headroles.passes.state import Seen

Add = Callable[[Int[Tensor, "image"], Float[Tensor, "image layer head width"]], None]
"""Adds images, by number and by what their heads wrote (u of `headroles.heads.moments.observe`), to sums."""
Observe = Callable[..., Float[Tensor, "image layer head width"]]
"""Reads u of a batch: takes model and pixels, `layers` and `precision`."""


class Sums(Protocol):
    """Sums over images of what heads write: HeadMoments, ValueMoments."""

    layers: tuple[int, ...]
    weights_hash: str
    count: Float[Tensor, "block"]

    def sums(self) -> dict[str, Tensor]:
        """What adds up over disjoint sets of images, by name; the tensors themselves."""


def fold_heads(
    model: HookedCLIP,
    images: Images | StreamedImages,
    sums: Sums,
    add: Add,
    options: PassOptions,
    *,
    precision: str = "no",
    observe: Observe = observe,
    fit: bool = False,
    progress: Progress | None = None,
    settings: dict[str, Any] | None = None,
) -> Seen:
    """Fold this process's part of the images into `sums`, and say what went into them.

    `observe`: reads u, as `headroles.heads.moments.observe` does. `fit`: forward in halves where the device's memory
    does not take a whole unit. `settings`: what the sums depend on beside model and images. Raises InputError as
    `run_pass`, and where a head's output is no number.
    """
    forward = FittingForward(partial(observe, model, layers=sums.layers, precision=precision), fit)
    finite = FiniteRows(lambda number: images.name(number), precision)

    def fold(number: Int[Tensor, "image"], pixels: Float[Tensor, "image 3 height width"]) -> None:
        u = forward(pixels)
        finite.add(u, number.tolist())
        add(number, u)

    settings = {**describe_forward(sums, precision), **(settings or {})}
    seen = run_pass(images, sums.sums(), fold, options, settings, progress)
    finite.finish()
    return seen


def describe_forward(sums: Sums, precision: str) -> dict[str, Any]:
    """All of the forward and its sums that a pass depends on, as plain values."""
    return record_ablation(
        {
            "weights": sums.weights_hash,
            "layers": list(sums.layers),
            "blocks": len(sums.count),
            "precision": precision,
        }
    )
