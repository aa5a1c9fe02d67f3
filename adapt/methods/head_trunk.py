"""HeadTrunk: what every head writes into an image's unit embedding, computed once and kept small, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.heads.moments import observe_with_embedding
from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class HeadTrunk:
    """Images' unit embeddings and their heads' outputs, which together make one tensor with a row an image."""

    outputs: Float[Tensor, "image layer head width"]
    """u = z / (sigma |f|), of a tower that pools each head's part itself; `headroles.heads.moments.observe`."""
    embeddings: Float[Tensor, "image embed"]
    """Of length 1."""

    @classmethod
    def observe(cls, model: HookedCLIP, pixels: Float[Tensor, "image 3 height width"]) -> HeadTrunk:
        """One ordinary forward. The heads that pool an embedding (SigLIP) are left out."""
        outputs, embeddings = observe_with_embedding(model, pixels, range(model.visual.layers))
        return cls(outputs.clone(), embeddings.clone())  # Tensors of inference mode could not enter autograd.

    def flat(self) -> Float[Tensor, "image number"]:
        """The one tensor."""
        return torch.cat([self.outputs.flatten(1), self.embeddings.to(self.outputs.dtype)], 1)

    @classmethod
    def of(cls, model: HookedCLIP, flat: Float[Tensor, "image number"]) -> HeadTrunk:
        """The opposite of `flat`."""
        tower = model.visual
        outputs = flat[:, : -tower.embed].unflatten(1, (tower.layers, tower.heads, tower.moment_width))
        return cls(outputs, flat[:, -tower.embed :])


def head_parts(
    model: HookedCLIP, outputs: Float[Tensor, "... layer head width"], heads: Sequence[tuple[int, int]]
) -> Float[Tensor, "... picked embed"]:
    """What u, or its mean over images, of some (layer, head) is in the embedding."""
    found = []
    for layers, bases in model.visual.spans(range(model.visual.layers)):
        own = outputs[..., list(layers), :, :]
        found.append(own if bases is None else torch.einsum("...lhk,lhkd->...lhd", own, bases.to(own)))
    own_layers, own_heads = zip(*heads, strict=True)
    return torch.cat(found, -3)[..., list(own_layers), list(own_heads), :]
