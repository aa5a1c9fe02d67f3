"""What no head writes, spread evenly over the heads, as the code of TextSpan (2310.05916) does.

The embedding is P (gamma (r - mean(r)) / sigma + beta), and r is a sum of heads, attention output biases b_O, MLPs and
the input. TextSpan's code gives each of the H heads of a layer b_O / H, and, of the L attentions, L MLPs and the input,
each head the part 1 / ((2 L + 1) H) of mean(r) and of beta. A head's part of the unit embedding is then

    s (z W_O + b_O / H - mean(r) / ((2 L + 1) H)) diag(gamma) P' + P beta / ((2 L + 1) H |f|),    s = 1 / (sigma |f|)

so beside s z there are three numbers an image, s, s mean(r) and 1 / |f|, the same for all heads, and three directions.
Sums of these 3 more numbers are all that it takes: the moments are 3 wider, and their first part is what it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from headroles.heads.moments import HeadMoments, observe_with_embedding
from headroles.models.hooked_clip import HookedCLIP, Tower, recording

CONSTANTS = ("apart", "heads")
"""Biases and LayerNorm have terms of their own, or are spread over the heads."""
MORE = 3
"""By how much u is wider."""


def spread_moments(model: HookedCLIP, *arguments: Any) -> HeadMoments:
    """`HeadMoments.empty` of the wider u."""
    plain = HeadMoments.empty(model, *arguments)
    first, second = pad(plain.first, (0, MORE)), pad(plain.second, (0, MORE, 0, MORE))
    return dataclasses.replace(plain, first=first, second=second)


@torch.inference_mode()
def observe_spread(
    model: HookedCLIP,
    pixel_values: Float[Tensor, "image 3 height width"],
    layers: Sequence[int],
    precision: str = "no",
) -> Float[Tensor, "image layer head width_and_3"]:
    """`headroles.heads.moments.observe`'s u, and behind it s, s mean(r) and 1 / |f| of each image."""
    mean, scale = f"visual.blocks.{model.visual.layers - 1}.hook_resid_post", "visual.ln_final.hook_scale"
    keep = {mean: _cls_mean, scale: _cls_scale, "visual.hook_embed": _cls_row}
    with recording(model, keep) as seen:
        u, _ = observe_with_embedding(model, pixel_values, layers, precision)
    inverse = 1 / seen["visual.hook_embed"].to(u).norm(dim=-1)
    s = inverse / seen[scale].to(u)
    own = torch.stack([s, s * seen[mean].to(u), inverse], -1)
    return torch.cat([u, own[:, None, None].expand(*u.shape[:-1], MORE)], -1)


def bases_of(
    tower: Tower, layers: Sequence[int], constants: str
) -> list[tuple[tuple[int, ...], Float[Tensor, "layer head width embed"] | None]]:
    """`Tower.spans`, or, with constants spread over the heads, the one group of all `layers`."""
    if constants == "heads":
        return [(tuple(layers), tower.spread_bases()[list(layers)])]
    return tower.spans(layers)


def _cls_row(rows: Float[Tensor, "image *token number"]) -> Float[Tensor, "image number"]:
    return rows.reshape(len(rows), -1, rows.shape[-1])[:, 0]


def _cls_mean(residual: Float[Tensor, "image token width"]) -> Float[Tensor, "image"]:
    return _cls_row(residual).mean(-1)


def _cls_scale(scale: Float[Tensor, "image *token 1"]) -> Float[Tensor, "image"]:
    return _cls_row(scale)[:, 0]
