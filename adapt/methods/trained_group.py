"""TrainedGroup: tensors of a method that have a learning rate in common."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class TrainedGroup:
    """Tensors that are trained alike."""

    tensors: tuple[nn.Parameter, ...]
    """The tensors."""
    rate: float = 1.0
    """Their learning rate, as a multiple of the training's."""
