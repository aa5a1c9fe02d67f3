"""AttentiveFusion: one learned query attends to an image's tokens, such as those of its layers (arXiv 2601.09322)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from headroles.adapt.methods.tokens import draw_linear


class AttentiveFusion(nn.Module):
    """Cross-attention with a LayerNorm before each of its three maps, and without positions.

    `heads` share twice the tokens' width; what they gather is mapped to `outputs`.
    """

    query: Float[Tensor, "width"]
    """Drawn from N(0, .02)."""

    def __init__(
        self, width: int, heads: int, outputs: int, attention_dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.head_width = max(1, 2 * width // heads)
        inner = heads * self.head_width
        self.query = nn.Parameter(0.02 * torch.randn(width, generator=generator))
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in "qkv"})
        self.maps = nn.ModuleDict({name: draw_linear(width, inner, generator) for name in "qkv"})
        self.out = draw_linear(inner, outputs, generator)

    def forward(
        self, tokens: Float[Tensor, "image token width"]
    ) -> tuple[Float[Tensor, "image output"], Float[Tensor, "image head token"]]:
        """What the query gathers, and with which weights, which sum to 1 over tokens."""
        query, key, value = (
            self.maps[name](self.norms[name](each)).unflatten(-1, (self.heads, self.head_width))
            for name, each in (("q", self.query), ("k", tokens), ("v", tokens))
        )
        scores = torch.einsum("hw,ithw->iht", query, key) / self.head_width**0.5
        weights = scores.softmax(-1)
        kept = dropout(weights, self.attention_dropout, self.training)
        return self.out(torch.einsum("iht,ithw->ihw", kept, value).flatten(1)), weights
