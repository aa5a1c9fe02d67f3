"""Weighted means of tensors: over a training's epochs, or of trained and frozen ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping

import torch
from torch import Tensor


def add_weighted(mean: MutableMapping[str, Tensor], tensors: Mapping[str, Tensor], weight: float) -> None:
    """Add `weight` times the tensors to a running mean, which begins empty; integers are taken as they are."""
    for name, value in tensors.items():
        if not value.is_floating_point():
            mean[name] = value.clone()
        elif name in mean:
            mean[name] = mean[name] + weight * value
        else:
            mean[name] = weight * value


def mix(tensor: Tensor, frozen: Tensor, share: float) -> Tensor:
    """`share` of a trained tensor and the rest of the frozen one, such as WiSE-FT's (arXiv 2109.01903)."""
    return torch.lerp(frozen.to(tensor.dtype), tensor, share)


def uniform_weights(epochs: int) -> tuple[float, ...]:
    """The same weight for every epoch."""
    return (1 / epochs,) * epochs


def gaussian_weights(epochs: int, mean: float, deviation: float) -> tuple[float, ...]:
    """Weights of epochs 1 to `epochs` by a normal density at their number, which sum to 1 (PromptSRC, 2307.06948)."""
    powers = [-(((epoch + 1 - mean) / deviation) ** 2) / 2 for epoch in range(epochs)]
    raw = [math.exp(power - max(powers)) for power in powers]  # Not all 0 where all are far from the mean.
    return tuple(each / sum(raw) for each in raw)
