"""What plain implementations of methods share: a batch, transformers' CLIPModel, and its towers with tokens put in."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel

from headroles import HookedCLIP

SCALE = 100.0
"""The factor on cosines."""


@dataclass(frozen=True)
class Given:
    """What a step works on."""

    model: HookedCLIP
    """A frozen CLIP."""
    pixels: Float[Tensor, "image 3 height width"]
    """Images."""
    labels: Int[Tensor, "image"]
    """Their classes."""
    names: Sequence[str]
    """The classes."""
    template: str
    """Their prompt."""

    @cached_property
    def clip(self) -> CLIPModel:
        """transformers' own, without hook points."""
        return copy_clip(self.model.clip).requires_grad_(False).eval()

    def tokens(self, template: str | None = None) -> Int[Tensor, "text token"]:
        """The classes' texts, by the prompt or by another."""
        texts = [(template or self.template).replace("{}", name) for name in self.names]
        return self.model.tokenize(texts)["input_ids"]

    def ends(self, ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """Where texts end."""
        return self.model.text_rows(ids)


class Plain(nn.Module):
    """A method's trained tensors; `forward` is the loss of a step."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.__dict__["given"], self.__dict__["clip"] = given, given.clip
        self.width, self.text_width = (
            config.hidden_size for config in (self.clip.config.vision_config, self.clip.config.text_config)
        )
        self.layers = self.clip.config.vision_config.num_hidden_layers
        self.embed = self.clip.config.projection_dim
        self.ids = given.tokens()
        with torch.no_grad():
            self.frozen_texts = embed_texts(self.clip, self.ids)

    def frozen_images(self) -> Float[Tensor, "image embed"]:
        with torch.no_grad():
            return embed_images(self.clip, self.given.pixels)

    def loss(self, images: Tensor, texts: Tensor) -> Tensor:
        return cross_entropy(SCALE * images @ texts.T, self.given.labels)

    def forward(self) -> Tensor:
        raise NotImplementedError

    def images_with(self, tokens: Mapping[int, Tensor], mask: Tensor | None = None) -> Tensor:
        """Unit embeddings of images with tokens behind the patches, in layers of their own."""
        vision = self.clip.vision_model
        start = vision.pre_layrnorm(vision.embeddings(self.given.pixels))
        run = run_with(vision.encoder.layers, start, tokens, start.shape[1], mask)
        return normalize(self.clip.visual_projection(vision.post_layernorm(run[:, 0])), dim=-1)

    def texts_with(self, ids: Tensor, tokens: Mapping[int, Tensor], replaced: int) -> Tensor:
        """Unit embeddings of texts with tokens behind BOT, the first of which are given without positions.

        `replaced` tokens of the text give way.
        """
        text, count = self.clip.text_model, len(tokens[0])
        embedded = text.embeddings.token_embedding(ids)
        rest = embedded[:, 1 + replaced :]
        joined = torch.cat([embedded[:, :1], tokens[0].expand(len(ids), -1, -1), rest], 1)
        start, deeper = text.embeddings(inputs_embeds=joined), {layer: tokens[layer] for layer in tokens if layer}
        run = run_with(text.encoder.layers, start, deeper, 1, causal(joined.shape[1]), count)
        ends = run[torch.arange(len(ids)), self.given.ends(ids) + count - replaced]
        return normalize(self.clip.text_projection(text.final_layer_norm(ends)), dim=-1)


def draw(layers: int, count: int, width: int) -> list[Tensor]:
    """Prompts of every layer at their start."""
    return list(0.02 * torch.randn(layers, count, width))


def embed_images(clip: CLIPModel, pixels: Tensor) -> Float[Tensor, "image embed"]:
    """Unit embeddings."""
    return normalize(clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)


def embed_texts(clip: CLIPModel, ids: Tensor) -> Float[Tensor, "text embed"]:
    """Unit embeddings."""
    return normalize(clip.get_text_features(input_ids=ids).pooler_output, dim=-1)


def causal(tokens: int) -> Float[Tensor, "1 1 query key"]:
    """0 for a token and those before it, -inf for later ones."""
    return torch.full((1, 1, tokens, tokens), -torch.inf).triu(1)


def run_with(
    layers: Sequence[nn.Module], start: Tensor, tokens: Mapping[int, Tensor], at: int, mask: Tensor | None = None,
    there: int = 0,
) -> Tensor:  # fmt: skip
    """All layers, with tokens from position `at` on; a layer's own take the place of the `there` earlier ones."""
    run = start
    for number, layer in enumerate(layers):
        if number in tokens:
            own = tokens[number].expand(len(run), -1, -1)
            run, there = torch.cat([run[:, :at], own, run[:, at + there :]], 1), own.shape[1]
        run = layer(run, attention_mask=mask)
    return run


def copy_clip(module: nn.Module) -> nn.Module:
    """A copy to train, without hooks."""
    copied = copy.deepcopy(module).requires_grad_(True)
    for each in copied.modules():
        each._forward_pre_hooks.clear()
        each._forward_hooks.clear()
    return copied
