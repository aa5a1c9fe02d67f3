"""The pass over labelled images that image probes rest on: value moments of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.moments import observe
from headroles.heads.value_moments import ValueMoments, span_coordinates
from headroles.images.labelled import LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import check_precision
from headroles.passes.image_pass import PassOptions, Progress, run_pass
from headroles.passes.memory_fit import FittingForward
from headroles.passes.moment_pass import describe_forward
from headroles.passes.state import Seen


def fold_values(
    model: HookedCLIP,
    labelled: LabelledImages,
    layers: Sequence[int],
    blocks: int,
    options: PassOptions,
    *,
    precision: str = "no",
    fit: bool = False,
    progress: Progress | None = None,
) -> tuple[ValueMoments, Seen]:
    """Value moments of this process's part of the images, and what went into them; an image's number gives its block.

    `fit`: forward in halves where the device's memory does not take a whole unit. Raises InputError as `run_pass`.
    """
    check_precision(model.device, precision)
    concepts = tuple((concept.name, concept.values) for concept in labelled.concepts)
    moments = ValueMoments.empty(model, layers, concepts, blocks)
    coordinates, codes = span_coordinates(model, layers), torch.from_numpy(labelled.codes)
    forward = FittingForward(partial(observe, model, layers=layers, precision=precision), fit)
    labels = hashlib.sha256(repr(concepts).encode() + labelled.codes.tobytes()).hexdigest()
    settings = {**describe_forward(moments, precision), "labels": labels}

    def fold(number: Int[Tensor, "image"], pixels: Float[Tensor, "image 3 height width"]) -> None:
        moments.update(coordinates(forward(pixels)), codes[number], number % blocks)

    return moments, run_pass(labelled.images, moments.sums(), fold, options, settings, progress)
