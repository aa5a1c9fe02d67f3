"""What a vision tower's layers say of an image on their way: CLS and the mean patch of each, once an image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.features import unit
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP, recording

FIRST = 1
"""The first layer that is asked: layer 0 is not."""
KINDS = ("CLS", "mean")
"""A layer's tokens: CLS, and the mean over patches."""


def check_cls(model: HookedCLIP, title: str) -> None:
    """InputError where a model's images have no CLS token."""
    if not model.visual.at_row or model.visual.pooling:
        raise InputError(
            f"model: {model.model_name} is a {model.family.title}, which has no CLS token, and {title} takes one of "
            "every layer; take a CLIP"
        )


def layer_places(model: HookedCLIP) -> list[tuple[int, str]]:
    """Layer and kind of every token, in order; the number of layers stands for the final LayerNorm."""
    return [(layer, kind) for layer in range(FIRST, model.visual.layers + 1) for kind in KINDS]


def observe_layers(
    model: HookedCLIP, pixels: Float[Tensor, "image 3 height width"]
) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image embed"]]:
    """The tokens, of length 1, where each layer's MLP reads them and behind the final LayerNorm; unit embeddings."""
    tower, found = model.visual, []
    residual = model.start_images(pixels)
    for layer in range(tower.layers):
        written = f"visual.blocks.{layer}.hook_attn_out"
        with recording(model, {written: lambda tensor: tensor}) as seen:
            after = tower.run(residual, [layer])
        if layer >= FIRST:
            found.append(_pool(model, tower.normed(residual + seen[written], layer)))
        residual = after
    found.append(_pool(model, tower.normed(residual)))
    return unit(torch.cat(found, 1)), unit(tower.read(residual[:, 0]))


def flat_layers(model: HookedCLIP, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image number"]:
    """Both in a row, tokens first: a tensor with a row an image."""
    tokens, embeddings = observe_layers(model, pixels)
    return torch.cat([tokens.flatten(1), embeddings], 1)


def _pool(model: HookedCLIP, tokens: Float[Tensor, "image token width"]) -> Float[Tensor, "image 2 width"]:
    patches = tokens[:, tokens.shape[1] - model.patches :]
    return torch.stack([tokens[:, 0], patches.mean(1)], 1)
