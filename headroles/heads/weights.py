"""HeadWeights: one learned factor a head, the smallest adapter there is, trained on stored contributions.

The embedding becomes f + sum_h (s_h - 1)(c_h - mean c_h) with c_h a head's part of it: s_h = 1 leaves the head, 0 puts
its mean in its place. Nothing of the model runs while it learns.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.checks import check_fields
from headroles.errors import InputError
from headroles.files.json_files import dump_json, read_object
from headroles.files.plain import Unfit, from_plain
from headroles.files.whole import write_text
from headroles.images.counting import counted

_AGAIN = "learn them again with headroles debias --learn"
FORMAT = "headroles.head-weights.1"


@dataclass(frozen=True)
class LearnConfig:
    """How head weights are learned."""

    steps: int = 200
    """Steps of Adam over all images."""
    lr: float = 0.05
    """Learning rate."""
    decay: float = 1.0
    """Weight of the mean square of s - 1 in the loss."""
    balanced: bool = True
    """Every group counts the same, however many images it has."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 1 or self.lr <= 0 or self.decay < 0:
            given = f"{self.steps}, {self.lr} and {self.decay}"
            raise InputError(f"steps must be at least 1, lr above 0 and decay at least 0, got {given}")


@dataclass(frozen=True)
class HeadWeights:
    """Factors of the scored heads of one model."""

    weights_hash: str
    """Hash of the model."""
    layers: tuple[int, ...]
    """Layers of the rows."""
    factors: tuple[tuple[float, ...], ...]
    """Rows of layers, columns of heads."""
    learned_on: str
    """What they were learned on."""
    config: LearnConfig
    """How they were learned."""

    def save(self, path: str | os.PathLike) -> None:
        """Write JSON in one step."""
        write_text(path, dump_json({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> HeadWeights:
        """Read what `save` wrote; InputError for anything else."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"head weights: there is no file {path}; learn them with headroles debias --learn")
        raw = read_object(path, "head weights", _AGAIN)
        if raw.pop("format", None) != FORMAT:
            raise InputError(f"head weights: {path} is of another version or holds none; {_AGAIN}")
        try:
            weights: HeadWeights = from_plain(cls, raw)
        except (Unfit, InputError) as error:
            raise InputError(f"head weights: {path} holds none ({error}); {_AGAIN}") from error
        rows = {len(row) for row in weights.factors}
        if len(set(weights.layers)) != len(weights.factors) or len(rows) != 1 or min(weights.layers) < 0:
            raise InputError(f"head weights: {path} has not one row of equal length a layer; {_AGAIN}")
        return weights

    def full(self, layers: int) -> Float[Tensor, "layer head"]:
        """Factors of all layers of the tower, 1 where a layer has none: what `scaling_heads` takes."""
        factors = torch.ones(layers, len(self.factors[0]))
        factors[list(self.layers)] = torch.tensor(self.factors)
        return factors


def learn_factors(
    logits: Callable[[Float[Tensor, "layer head"]], Float[Tensor, "image class"]],
    shape: tuple[int, int],
    labels: Int[Tensor, "image"],
    groups: Int[Tensor, "image"],
    config: LearnConfig,
) -> Float[Tensor, "layer head"]:
    """The factors under which `logits(factors)` tell the labels best: cross-entropy and a pull towards 1.

    With `config.balanced` every group has the same weight. Deterministic.
    """
    counts = torch.bincount(groups)[groups].float()
    weight = 1 / counts if config.balanced else torch.ones_like(counts)
    weight = weight / weight.sum()
    factors = torch.ones(shape, requires_grad=True)
    optimizer = torch.optim.Adam([factors], lr=config.lr)
    for _ in counted(range(config.steps), "learning factors", config.steps, "step"):
        optimizer.zero_grad()
        loss = (weight * nn.functional.cross_entropy(logits(factors), labels, reduction="none")).sum()
        (loss + config.decay * (factors - 1).square().mean()).backward()
        optimizer.step()
    return factors.detach()
