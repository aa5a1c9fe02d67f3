"""Where a head looks: what every token of an image adds to the head's part of the embedding along a text.

A head's output at CLS is z = sum_t a[t] v[t]: its attention to token t times that token's value. So its part of the
unit embedding along a direction splits exactly over the tokens (TextSpan, arXiv 2310.05916, eq. 5):
c[t] = a[t] v[t] @ B @ direction / (sigma |f|), and sum_t c[t] is the head's contribution along that direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.heads.names import Head
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.roles.role_map import HeadRole

_SCALE = "visual.ln_final.hook_scale"


@dataclass(frozen=True)
class HeadViews:
    """Where some heads look on a batch of images; tokens are CLS, registers if any, then patches row by row."""

    heads: tuple[Head, ...]
    """(layer, head)."""
    contribution: Float[Tensor, "image head token"]
    """c[t], in units of the cosine with the text."""
    attention: Float[Tensor, "image head token"]
    """The head's attention of CLS to each token; sums to 1."""
    cosine: Float[Tensor, "image head"]
    """Cosine of the whole embedding with the head's text."""

    shape: tuple[int, int]
    """Rows and columns of the patches, which are the last tokens."""

    @property
    def patches(self) -> int:
        """How many of the tokens, the last ones, are patches."""
        return math.prod(self.shape)

    def grid(self, quantity: str) -> Float[Tensor, "image head row column"]:
        """ "contribution" or "attention" of the patches, as they lie on the picture."""
        return getattr(self, quantity)[..., -self.patches :].unflatten(-1, self.shape)

    def rest(self, quantity: str) -> Float[Tensor, "image head"]:
        """The same of all tokens that are no patch: CLS, and registers."""
        return getattr(self, quantity)[..., : -self.patches].sum(-1)


@torch.inference_mode()
def view_heads(
    model: HookedCLIP,
    pixel_values: Float[Tensor, "image 3 height width"],
    heads: Sequence[Head],
    directions: Float[Tensor, "head embed"] | None,
    projectors: Mapping[Head, Float[Tensor, "width width"]] | None = None,
) -> HeadViews:
    """What every token adds to each head's part of the unit embedding along the head's own direction.

    `directions` are unit text embeddings, one a head; None for attention alone, all else is zero then. One forward;
    only the layers of `heads` are hooked. `projectors`: head -> P, where only what of its values
    lies along some of its singular directions counts (`headroles.heads.parts.find_projectors`).
    Raises InputError where there are no heads, or not one direction a head, or attention pools the embedding (SigLIP):
    there no row is read, so what a head reads where is a question with one more sum in its answer.
    """
    if not model.visual.at_row:
        raise InputError(f"model: the embedding of {model.model_name} is pooled over tokens; expected one read at CLS")
    if directions is None:
        directions = torch.zeros(len(heads), model.visual.embed)
    if not heads or len(directions) != len(heads):
        raise InputError(f"heads: expected one text a head and at least one head, got {len(heads)}, {len(directions)}")
    rows: dict[int, list[int]] = {}
    for layer, head in heads:
        rows.setdefault(layer, []).append(head)
    names: dict[str, Callable[[Tensor], Tensor]] = {_SCALE: _first_row}
    for layer, own in rows.items():
        names[f"visual.blocks.{layer}.attn.hook_pattern"] = partial(_looks_of, own)
        names[f"visual.blocks.{layer}.attn.hook_v"] = partial(_values_of, own)
    with recording(model, names) as seen:
        embedding = model(pixel_values.to(model.device, model.dtype))
    length = embedding.norm(dim=-1, keepdim=True)
    directions, bases = directions.to(embedding), model.visual.bases()
    written, attention = [], []
    for (layer, head), direction in zip(heads, directions, strict=True):
        place = rows[layer].index(head)
        looks = seen[f"visual.blocks.{layer}.attn.hook_pattern"][:, place]
        reading = bases[layer, head] @ direction
        if projectors and (layer, head) in projectors:
            reading = projectors[layer, head].to(reading) @ reading
        values = seen[f"visual.blocks.{layer}.attn.hook_v"][:, :, place] @ reading
        written.append(looks * values / (seen[_SCALE] * length))
        attention.append(looks)
    cosine = embedding / length @ directions.T
    grid = model.family.grid(*pixel_values.shape[-2:])
    return HeadViews(tuple(heads), torch.stack(written, 1), torch.stack(attention, 1), cosine, grid)


def _first_row(scale: Float[Tensor, "image *token 1"]) -> Float[Tensor, "image 1"]:
    return scale if scale.ndim == 2 else scale[:, 0]


def _looks_of(heads: list[int], pattern: Float[Tensor, "image head token token"]) -> Float[Tensor, "image head token"]:
    return pattern[:, heads, 0].clone()


def _values_of(
    heads: list[int], value: Float[Tensor, "image token head width"]
) -> Float[Tensor, "image token own width"]:
    return value[:, :, heads].clone()


def texts_of(heads: Sequence[HeadRole], text: str | None = None) -> tuple[str, ...]:
    """One text a head: `text`, or each head's own first picked text; InputError for a head that has none."""
    bare = [head.name for head in heads if not head.texts]
    if text is None and bare:
        raise InputError(f"text: {bare[0]} has no text of its own; give --text")
    return tuple(text if text is not None else head.texts[0].text for head in heads)


def directions_of(
    model: HookedCLIP, heads: Sequence[HeadRole], text: str | None = None
) -> tuple[tuple[str, ...], Float[Tensor, "head embed"]]:
    """`texts_of` the heads, and their unit embeddings."""
    texts = texts_of(heads, text)
    return texts, model.embed_texts(texts)
