"""The texts that span each head's outputs: over all images, over resamples of the image blocks, and by chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.heads.constants import bases_of
from headroles.heads.moments import HeadMoments
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.config import ScoreConfig
from headroles.roles.head_roles import draw_blocks
from headroles.roles.leading import keep_leading
from headroles.roles.null import null_picks
from headroles.roles.probes import ProbeBank
from headroles.roles.textspan import Picks, Sigma, project_texts, share_out, span_head

RESAMPLED_ROTATIONS = 19
"""Rotations of each resample: the first of those of all images."""


@dataclass(frozen=True)
class PickedTexts:
    """All that TextSpan picks for the scored heads, and what is known of them before."""

    whole: Picks
    """Over all images: one draw."""
    resampled: Picks
    """Over bootstrap resamples of the image blocks."""
    null: Picks
    """Of heads with the same eigenvalues and random directions, see `headroles.roles.null`."""
    own_null: Picks | None
    """The same of the resamples, each by `RESAMPLED_ROTATIONS`, for the rule that rests on it alone ("null")."""
    embeddings: Float[Tensor, "text embed"]
    """Unit embeddings of the bank's texts."""


@torch.inference_mode()
def pick_texts(model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig) -> PickedTexts:
    """TextSpan over all images, over each bootstrap resample of the image blocks, and under the null model."""
    embeddings = model.embed_texts(bank.texts).float()
    texts = embeddings - embeddings.mean(0) if config.center_texts else embeddings
    drawn = torch.from_numpy(draw_blocks(moments.count.cpu().numpy(), config.bootstraps, config.seed))
    draws = torch.cat([torch.ones_like(drawn[:1]), drawn]).to(moments.count.device)
    heads: list[tuple[Picks, ...]] = []
    tower = moments.tower_of(model)
    for layers, bases in bases_of(tower, moments.layers, config.constants):
        width = tower.moment_width if bases is None else bases.shape[-2]
        if width > moments.first.shape[-1]:
            raise InputError("moments: these were made with constants apart; score again, with constants heads")
        heads += _pick_of_span(moments.select(layers, width), bases, texts, draws, config)
    found, null, *own = (Picks.join(picks, 1) for picks in zip(*heads, strict=True))
    resampled, own_null = found.draws(slice(1, None)), own[0] if own else None
    return PickedTexts(found.draws(slice(1)), resampled, null, own_null, embeddings)


def _pick_of_span(
    moments: HeadMoments, bases: Tensor | None, texts: Tensor, draws: Float[Tensor, "draw block"], config: ScoreConfig
) -> list[tuple[Picks, ...]]:
    """Picks of each head of layers with bases (layer, head, width, embed): of all draws, and of the null models.

    `bases` None stands for the identity.
    """
    projected, factor = (None, None) if bases is None else _project(moments, bases.flatten(0, 1), texts, config)
    heads = moments.first.shape[2]

    def pick(number: int) -> tuple[Picks, ...]:
        own = moments.of_head(*divmod(number, heads))
        covariance = own.covariance(draws)[:, 0, 0]
        known, head_texts = None, texts
        if projected is None or factor is None:
            known = own.variances(texts, draws)[:, 0, 0]
        else:
            used = (factor[number] != 0).any(-1)
            head_texts, turn = projected[number][:, used], factor[number][used]
            covariance = turn @ covariance @ turn.T
        spread = Sigma(covariance.to(texts), known)
        asked = (config.texts_per_head, config.selection)

        def by_chance(covariance: Float[Tensor, "width width"], rotations: int) -> Picks:
            return null_picks(head_texts, covariance, rotations, *asked, config.seed)

        found = span_head(head_texts, spread, *asked), by_chance(covariance[0], config.null_draws)
        if config.roles_by != "null":
            return found
        return *found, Picks.join([by_chance(each, RESAMPLED_ROTATIONS) for each in covariance[1:]], 0)

    return share_out(pick, range(len(moments.layers) * heads))


def _project(
    moments: HeadMoments, bases: Float[Tensor, "head width embed"], texts: Tensor, config: ScoreConfig
) -> tuple[Float[Tensor, "head text rank"], Float[Tensor, "head rank width"]]:
    """Texts in every head's coordinates, and what takes u there; rows of 0 where a head has fewer directions."""
    projected, factor = project_texts(texts, bases.float())
    factor = factor.double()
    if config.constants == "apart" and config.rank is None:
        return projected, factor
    square = moments.second.sum(0).flatten(0, 1) / moments.images
    return keep_leading(projected, factor, square, config.rank)
