"""The texts that span each head's outputs, over all images and over resamples of the image blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from headroles.errors import InputError
from headroles.heads.constants import bases_of
from headroles.heads.moments import HeadMoments
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.config import ScoreConfig
from headroles.roles.head_roles import draw_blocks
from headroles.roles.leading import keep_leading
from headroles.roles.probes import ProbeBank
from headroles.roles.textspan import Picks, project_texts, text_span

_CHUNK = 50_000_000
"""Numbers held at once while texts are picked for several bootstrap draws."""


@torch.inference_mode()
def pick_texts(model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig) -> tuple[Picks, Picks]:
    """TextSpan over all images, and over each bootstrap resample of the image blocks."""
    texts = model.embed_texts(bank.texts).float()
    count = moments.count
    drawn = draw_blocks(count.cpu().numpy(), config.bootstraps, config.seed)
    draws = torch.from_numpy(drawn).to(count.device)
    spans = []
    for layers, bases in bases_of(model, moments.layers, config.constants):
        width = model.visual.moment_width if bases is None else bases.shape[-2]
        if width > moments.first.shape[-1]:
            raise InputError("moments: these were made with constants apart; score again, with constants heads")
        spans.append(_pick_of_span(moments.select(layers, width), bases, texts, draws, config))
    whole, resampled = zip(*spans, strict=True)
    return _join(whole, 1), _join(resampled, 1)


def _pick_of_span(
    moments: HeadMoments, bases: torch.Tensor | None, texts: torch.Tensor, draws: torch.Tensor, config: ScoreConfig
) -> tuple[Picks, Picks]:
    """`pick_texts` of layers whose heads have bases (layer, head, width, embed); None stands for the identity."""
    if bases is None:
        texts = texts - texts.mean(0) if config.center_texts else texts
        projected, factor = texts.expand(len(moments.layers) * moments.first.shape[2], -1, -1), None
        spread = moments.variances(texts, torch.cat([torch.ones_like(draws[:1]), draws])).flatten(1, 2)
        whole, drawn = spread[:1], spread[1:]
    else:
        projected, factor = project_texts(texts, bases.flatten(0, 1).float(), config.center_texts)
        factor, whole, drawn = factor.double(), None, None
        if config.constants == "heads" or config.rank is not None:
            square = moments.second.sum(0).flatten(0, 1) / moments.images
            projected, factor = keep_leading(projected, factor, square, config.rank)

    def picked(draws: torch.Tensor | None, variance: torch.Tensor | None) -> Picks:
        covariance = moments.covariance(draws).flatten(1, 2)
        return text_span(projected, factor, covariance, config.texts_per_head, config.selection, variance)

    chunk = max(1, _CHUNK // projected.numel())
    rows = draws.split(chunk)
    variances = drawn.split(chunk) if drawn is not None else [None] * len(rows)
    return picked(None, whole), _join([picked(*pair) for pair in zip(rows, variances, strict=True)], 0)


def _join(parts: Sequence[Picks], axis: int) -> Picks:
    """Picks of several draws (axis 0) or heads (axis 1) as one; heads with fewer picks are filled up with none."""
    steps = max(part.index.shape[-1] for part in parts)
    index, share = (
        [torch.nn.functional.pad(getattr(part, name), (0, steps - part.index.shape[-1]), value=fill) for part in parts]
        for name, fill in (("index", -1), ("share", 0))
    )
    return Picks(torch.cat(index, axis), torch.cat(share, axis), torch.cat([part.variance for part in parts], axis))
