"""Rotary positions: queries and keys of patches are turned by where they lie; CLS and registers are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

Tables = tuple[Float[Tensor, "patch width"], Float[Tensor, "patch width"]]
"""Cosines and sines of every patch's angles; the second half of the width repeats the first."""


@dataclass(frozen=True)
class Rotary:
    """The turning of one tower's queries and keys (RoFormer, 2104.09864, in two dimensions)."""

    tables: Callable[[int], Tables]
    """The tables for a run of so many tokens."""

    def arguments(self, tokens: int) -> dict[str, Any]:
        """What transformers' layers take."""
        return {"position_embeddings": self.tables(tokens)}

    def turn(
        self, flow: Float[Tensor, "image head row width"], tokens: int, rows: Int[Tensor, "... row"] | None = None
    ) -> Float[Tensor, "image head row width"]:
        """Queries or keys of a run of `tokens` tokens, turned; `rows`: their positions, None for all."""
        cosines, sines = self.tables(tokens)
        others = tokens - len(cosines)
        cosines, sines = pad(cosines, (0, 0, others, 0), value=1), pad(sines, (0, 0, others, 0))
        if rows is not None:
            cosines, sines = cosines[rows].unsqueeze(-3), sines[rows].unsqueeze(-3)
        first, second = flow.chunk(2, -1)
        return flow * cosines + torch.cat([-second, first], -1) * sines
