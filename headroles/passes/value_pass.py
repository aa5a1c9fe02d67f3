"""The pass over labelled images that image probes rest on: value moments of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.output_sample import draw_rows
from headroles.heads.value_moments import ValueMoments, span_coordinates
from headroles.images.labelled import LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import check_precision
from headroles.passes.head_pass import fold_heads
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen


def fold_values(
    model: HookedCLIP,
    labelled: LabelledImages,
    layers: Sequence[int],
    blocks: int,
    options: PassOptions,
    *,
    precision: str = "no",
    **more: Any,
) -> tuple[ValueMoments, Seen]:
    """Value moments of this process's part of the images, and what went into them, in `blocks` blocks at most.

    An image's block is that of `labelled.blocking`, whoever reads it. `more`: as in `fold_heads`. Raises InputError as
    `run_pass`.
    """
    check_precision(model.device, precision)
    concepts = tuple((concept.name, concept.values) for concept in labelled.concepts)
    blocking = labelled.blocking
    cut = blocking.cut(blocking.limit(blocks))
    moments = ValueMoments.empty(model, layers, concepts, cut.count, len(labelled), blocking.how)
    row = draw_rows(len(labelled), len(moments.sample))
    coordinates, codes = span_coordinates(model, layers), torch.from_numpy(labelled.codes)

    def add(number: Int[Tensor, "image"], u: Float[Tensor, "image layer head width"]) -> None:
        moments.update(coordinates(u), codes[number], cut.of(number), row[number])

    settings = {"labels": hash_labels(labelled), **blocking.describe()}
    seen = fold_heads(model, labelled.images, moments, add, options, precision=precision, settings=settings, **more)
    return moments, seen


def hash_labels(labelled: LabelledImages) -> str:
    """sha256 of the concepts, their values and every image's."""
    concepts = tuple((concept.name, concept.values) for concept in labelled.concepts)
    return hashlib.sha256(repr(concepts).encode() + labelled.codes.tobytes()).hexdigest()
