"""One encoder layer by hand: at some rows of a residual stream alone, or over pieces of one, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.models.families.hook_points import LayerParts

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries, keys and values (image, row, head, width) to what the queries' rows read, in the same shape."""


def run_rows(
    part: LayerParts, pieces: Sequence[Float[Tensor, "image _ width"]], rows: Int[Tensor, "... row"] | None,
    attend: Attend,
) -> Float[Tensor, "image row width"]:  # fmt: skip
    """The layer's output at `rows` of all pieces in a row (None: at all of them).

    Pieces that need no gradient are projected apart from those that do, so that nothing is computed for them backward.
    """
    if len({piece.requires_grad for piece in pieces}) == 1:
        pieces = [_join(pieces)]
    attention, normed = part.attention, [part.norms[0](piece) for piece in pieces]
    wanted = normed if rows is None else [take(_join(normed), rows)]
    flows = ((attention.q_proj, wanted), (attention.k_proj, normed), (attention.v_proj, normed))
    query, key, value = (
        _join([projection(each) for each in inputs]).unflatten(-1, (part.heads, part.head_width))
        for projection, inputs in flows
    )
    kept = _join(pieces) if rows is None else take(_join(pieces), rows)
    gains = part.gains or (nn.Identity(), nn.Identity())
    kept = kept + gains[0](part.output(attend(query, key, value).flatten(-2)))
    return kept + gains[1](part.mlp(part.norms[1](kept)))


def attend(
    query: Float[Tensor, "image query head width"],
    key: Float[Tensor, "image key head width"],
    value: Float[Tensor, "image key head width"],
    mask: Float[Tensor, "..."] | None,
    scale: float,
) -> Float[Tensor, "image query head width"]:
    """What every query's row reads; `mask` is added to the scores."""
    query, key, value = (flow.transpose(1, 2) for flow in (query, key, value))
    mask = None if mask is None else mask.to(query.dtype)
    return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).transpose(1, 2)


def take(tokens: Float[Tensor, "image token width"], rows: Int[Tensor, "... row"]) -> Float[Tensor, "image row width"]:
    """Some positions of every image: the same of all, or each image's own."""
    if rows.ndim == 1:
        return tokens[:, rows]
    return tokens[torch.arange(tokens.shape[0], device=tokens.device)[:, None], rows]


def _join(pieces: Sequence[Float[Tensor, "image _ width"]]) -> Float[Tensor, "image token width"]:
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces), 1)
