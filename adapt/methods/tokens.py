"""LearnedTokens: the vectors that enter a tower's residual stream."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


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

    def entering(
        self, batch: int, previous: Float[Tensor, "batch token width"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """What enters the next layer: r, or beta * r + (1 - beta) * previous where r went through a layer before."""
        if previous is None:
            return self.values.expand(batch, -1, -1)
        return self.beta * self.values + (1 - self.beta) * previous
