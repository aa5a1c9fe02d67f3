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
    frozen: Float[Tensor, "text embed"]
    """Frozen CLIP's unit embeddings."""


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


def unit(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """Of length 1, at least in single precision."""
    return normalize(at_least_single(embeddings), dim=-1)


def distance(rows: Float[Tensor, "row embed"], frozen: Float[Tensor, "row embed"]) -> Float[Tensor, ""]:
    """Mean of 1 - cosine of unit rows."""
    return 1 - (rows * frozen).sum(-1).mean()
