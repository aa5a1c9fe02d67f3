"""Margins: how clearly a CLIP names an image's value of a concept, zero-shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headroles.images.labelled import Concept
from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class ValueTexts:
    """The values of some concepts as a CLIP reads them."""

    names: tuple[str, ...]
    """The concepts."""
    embeddings: tuple[Float[Tensor, "value embed"], ...]
    """Unit embeddings of each concept's values: means over their texts."""
    scale: float
    """The CLIP's factor on cosines."""

    @classmethod
    def embed(cls, model: HookedCLIP, concepts: Sequence[Concept]) -> ValueTexts:
        """Run the text tower over all texts of the concepts' values."""
        rows = tuple(
            normalize(torch.stack([model.embed_texts(texts).mean(0) for texts in concept.prompts]), dim=-1)
            for concept in concepts
        )
        return cls(tuple(concept.name for concept in concepts), rows, model.logit_scale)


def margin(
    logits: Float[Tensor, "image ... value"], labels: Int[Tensor, "image"]
) -> tuple[Float[Tensor, "image ..."], Bool[Tensor, "image ..."]]:
    """Log odds of the right value among all values, in nats, and whether it is the likeliest.

    log p / (1 - p) = the right logit - logsumexp of the others: unlike log p it does not level off where the model is
    nearly always right.
    """
    index = labels.view(-1, *(1,) * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    others = logits.scatter(-1, index, -torch.inf)
    right = logits.gather(-1, index)[..., 0]
    return right - others.logsumexp(-1), right > others.amax(-1)
