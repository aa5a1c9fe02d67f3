"""The pass that reading weights may rest on: the mean of a model's unit embeddings over some images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.images.images import Images
from headroles.images.sources.stream import StreamedImages
from headroles.models.finite import FiniteRows
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress, run_pass
from headroles.passes.memory_fit import FittingForward
from headroles.passes.state import Seen


@dataclass
class MeanEmbedding:
    """Sum of unit embeddings."""

    count: Float[Tensor, ""]
    """Images."""
    first: Float[Tensor, "embed"]
    """Sum, float64."""

    @classmethod
    def empty(cls, model: HookedCLIP) -> MeanEmbedding:
        """No image yet."""
        zero = torch.zeros(model.visual.embed + 1, dtype=torch.float64, device=model.device)
        return cls(zero[0].clone(), zero[1:].clone())

    def sums(self) -> dict[str, Tensor]:
        """What adds up over disjoint sets of images, by name; the tensors themselves."""
        return {"count": self.count, "first": self.first}

    def mean(self) -> Float[Tensor, "embed"] | None:
        """Mean over all images; None where there were none."""
        return self.first / self.count if self.count else None


def fold_mean(
    model: HookedCLIP,
    images: Images | StreamedImages,
    options: PassOptions,
    *,
    fit: bool = False,
    progress: Progress | None = None,
) -> tuple[MeanEmbedding, Seen]:
    """The sum over this process's part of the images, and what went into it; raises InputError as `run_pass`.

    `fit`: forward in halves where the device's memory does not take a whole unit.
    """
    found, forward = MeanEmbedding.empty(model), FittingForward(model.embed_images, fit)
    finite = FiniteRows(lambda number: images.name(number))

    def fold(number: Int[Tensor, "image"], pixels: Float[Tensor, "image 3 height width"]) -> None:
        embeddings = forward(pixels)
        finite.add(embeddings, number.tolist())
        found.count.add_(len(number))
        found.first.add_(embeddings.double().sum(0))

    settings: dict[str, Any] = {"weights": model.weights_hash(), "sums": "mean embedding"}
    seen = run_pass(images, found.sums(), fold, options, settings, progress)
    finite.finish()
    return found, seen
