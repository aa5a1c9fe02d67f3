"""Learned tokens: the vectors that enter a tower's residual stream, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Tokens(Protocol):
    """What `headroles.adapt.methods.branches` asks of learned tokens."""

    @property
    def count(self) -> int:
        """How many there are."""

    def entering(
        self, layer: int, batch: int, previous: Float[Tensor, "batch token width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """What enters a layer; `previous`: what the layer before made of them, None at the first."""


class LearnedTokens(nn.Module):
    """`count` trained vectors r of a tower's width, drawn from N(0, std) by `generator` (a CPU one).

    The same r enters every layer from the first on, mixed with what the layer before made of it (DeAR).
    """

    values: Float[Tensor, "token width"]
    """r."""

    def __init__(self, count: int, width: int, std: float, beta: float, generator: torch.Generator) -> None:
        super().__init__()
        self.beta = beta
        self.values = nn.Parameter(std * torch.randn(count, width, generator=generator))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    def entering(
        self, layer: int, batch: int, previous: Float[Tensor, "batch token width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """What enters the next layer: r, or beta * r + (1 - beta) * previous where r went through a layer before."""
        return _mix(self.values, self.beta, batch, previous)


@dataclass(frozen=True)
class LayerTokens:
    """Tokens with vectors of their own in some layers; at the others, what the layer before made of them goes on."""

    values: Mapping[int, Float[Tensor, "token width"]]
    """Layer -> vectors, the first layer with tokens among them."""
    beta: float = 1.0
    """Share of a layer's own vectors where there are earlier ones; 1: they take their place."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(next(iter(self.values.values())))

    def entering(
        self, layer: int, batch: int, previous: Float[Tensor, "batch token width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """The layer's own, or beta * own + (1 - beta) * previous; previous where it has none."""
        if layer in self.values:
            return _mix(self.values[layer], self.beta, batch, None if self.beta == 1 else previous)
        assert previous is not None  # The first layer has vectors.
        return previous


def _mix(
    own: Float[Tensor, "token width"], beta: float, batch: int, previous: Float[Tensor, "batch token width"] | None
) -> Float[Tensor, "batch token width"]:
    if previous is None:
        return own.expand(batch, -1, -1)
    return beta * own + (1 - beta) * previous


def draw_uniform(*shape: int, generator: torch.Generator, inputs: int | None = None) -> Float[Tensor, "..."]:
    """Uniform within 1 / sqrt(inputs) (by default the last axis), as torch begins the weights of a linear map."""
    bound = (inputs or shape[-1]) ** -0.5
    return bound * (2 * torch.rand(*shape, generator=generator) - 1)


def draw_linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear map that begins as torch's do, but by `generator` alone."""
    drawn: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    drawn.weight = nn.Parameter(draw_uniform(outputs, inputs, generator=generator))
    drawn.bias = nn.Parameter(draw_uniform(outputs, inputs=inputs, generator=generator))
    return drawn
