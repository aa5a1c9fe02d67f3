"""What methods pass on of images and texts: trunks that no training changes, unit embeddings, and their distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class TextTrunk:
    """What of the classes' texts does not depend on training."""

    residual: Float[Tensor, "text token width"]
    """The residual stream before the first layer with text tokens."""
    rows: Int[Tensor, "text"]
    """Where each text ends (EOT) in `residual`."""
    frozen: Float[Tensor, "class embed"]
    """Frozen CLIP's unit embeddings of the classes."""
    classes: Int[Tensor, "text"] | None = None
    """The class of each text; None where each text is a class."""

    def average(self, rows: Float[Tensor, "text embed"]) -> Float[Tensor, "class embed"]:
        """Unit mean of every class's unit embeddings."""
        return average_classes(rows, self.classes)


@dataclass(frozen=True)
class ImageFeatures:
    """Unit embeddings of images."""

    cls: Float[Tensor, "image embed"]
    """CLS, through the frozen readout."""
    attributes: Float[Tensor, "image attribute embed"]
    """The attribute tokens, through the trained readout, in the order of `Dear.attributes`."""


def at_least_single(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """At least single precision."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


def average_classes(
    rows: Float[Tensor, "text embed"], classes: Int[Tensor, "text"] | None
) -> Float[Tensor, "class embed"]:
    """Unit mean of the rows of every class; the rows themselves where each is a class."""
    if classes is None:
        return rows
    count = int(classes.max()) + 1
    return unit(torch.zeros(count, rows.shape[1], dtype=rows.dtype, device=rows.device).index_add(0, classes, rows))


def unit(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """Of length 1, at least in single precision."""
    return normalize(at_least_single(embeddings), dim=-1)


def distance(rows: Float[Tensor, "row embed"], frozen: Float[Tensor, "row embed"]) -> Float[Tensor, ""]:
    """Mean of 1 - cosine of unit rows."""
    return 1 - (rows * frozen).sum(-1).mean()
