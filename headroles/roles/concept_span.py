"""How much of a head is one concept's: the share of its variance in the span of the concept's texts.

Head Pursuit (arXiv 2510.21518) measures a head's specialisation by the variance that a dictionary of one concept's
texts explains. Ours is a projection, from moments alone: a concept's texts, centred about their own mean, are projected
on the span of the head's outputs; V (width x rank) holds the leading directions of what is left, and with the
covariance Sigma of the outputs in the same coordinates the share is tr(V' Sigma V) / tr(Sigma).

Every concept gets as many directions, `rank`, so that one with many texts explains no more for having them: directions
turned at random would explain rank / width. Texts that repeat another count once. No concept takes from another: shares
sum to at most 1 where the concepts' directions are orthogonal, and to more where they are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from headroles.heads.constants import bases_of
from headroles.heads.moments import HeadMoments
from headroles.models.hooked_clip import HookedCLIP

_SAME = 1e-5
"""Squared distance of two unit embeddings up to which one text says what the other does."""
_ROUNDING = 1e-12
"""Squared length of unit embeddings below which a direction holds rounding alone."""


def explained_shares(
    model: HookedCLIP,
    moments: HeadMoments,
    groups: Sequence[Float[Tensor, "text embed"]],
    rank: int,
    constants: str = "apart",
) -> Float[ndarray, "head concept"]:
    """The share of every scored head's variance in the span of each concept's texts; 0 where a head never changes.

    `groups`: every concept's texts, as `split_texts` gives them; `rank` as `common_rank` does. Heads by layer, then
    number.
    """
    parts, tower = [], moments.tower_of(model)
    for layers, bases in bases_of(tower, moments.layers, constants):
        own = moments.select(layers, tower.moment_width if bases is None else bases.shape[-2])
        covariance = own.covariance()[0].flatten(0, 1)
        if bases is None:
            spans = [(group.double(), covariance) for group in groups]
        else:
            q, r = torch.linalg.qr(bases.detach().double().flatten(0, 1).mT)
            turned = r @ covariance @ r.mT
            spans = [(group.double() @ q, turned) for group in groups]
        parts.append(torch.stack([span_share(*span, rank) for span in spans], -1))
    return torch.cat(parts).cpu().numpy()


def split_texts(texts: Float[Tensor, "text embed"], codes: Sequence[int]) -> list[Float[Tensor, "text embed"]]:
    """Every concept's different texts, about their mean; the one text of a concept, about the mean of all."""
    of = torch.as_tensor(codes, device=texts.device)
    groups = [_different(texts[of == code].double()) for code in range(max(codes) + 1)]
    middle = torch.stack([group.mean(0) for group in groups]).mean(0)
    return [group - (group.mean(0) if len(group) > 1 else middle) for group in groups]


def common_rank(groups: Sequence[Float[Tensor, "text embed"]], rank: int) -> int:
    """`rank`, or as many directions as the concept with the fewest texts has: no concept has more than another."""
    return min(rank, *(max(1, len(group) - 1) for group in groups))


def span_share(
    texts: Float[Tensor, "*head text width"], covariance: Float[Tensor, "head width width"], rank: int
) -> Float[Tensor, "head"]:
    """tr(V' Sigma V) / tr(Sigma), V the `rank` leading directions of the texts' square in each head's coordinates."""
    size, vectors = torch.linalg.eigh(texts.mT @ texts)
    leading = vectors[..., -rank:] * (size[..., None, -rank:] > _ROUNDING)
    explained = (covariance @ leading * leading).sum((-2, -1))
    whole = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.where(whole > 0, explained / whole.clamp_min(1e-300), 0.0).clamp(0, 1)


def _different(texts: Float[Tensor, "text embed"]) -> Float[Tensor, "text embed"]:
    """Texts that are not as good as an earlier one."""
    near = torch.cdist(texts, texts, compute_mode="donot_use_mm_for_euclid_dist") ** 2 <= _SAME
    return texts[~near.tril(-1).any(1)]
