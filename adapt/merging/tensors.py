"""Sums of several adapters' tensors: weighted means, and task arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError


def weighted(
    tensors: Sequence[Float[Tensor, "..."]], weights: Float[Tensor, "adapter"] | Float[Tensor, "adapter row"], name: str
) -> Float[Tensor, "..."]:
    """The mean with weights that sum to 1 over adapters, of whole tensors or of each row.

    Where all are the same it is the same bits: the differences to the first are weighed, in double precision. Whole
    numbers have no mean: InputError, with the tensor's `name`, where they differ.
    """
    first = tensors[0]
    moved = _sum_apart(first, tensors, weights.to(first.device), name)
    return first.clone() if moved is None else _add(first, moved)


def add_tasks(
    start: Float[Tensor, "..."], tensors: Sequence[Float[Tensor, "..."]], strength: float, name: str
) -> Float[Tensor, "..."]:
    """start + strength * sum of (tensor - start) (task arithmetic, arXiv 2212.04089)."""
    shares = torch.full((len(tensors),), strength, dtype=torch.double, device=start.device)
    moved = _sum_apart(start, tensors, shares, name)
    return start.clone() if moved is None else _add(start, moved)


def _sum_apart(origin: Tensor, tensors: Sequence[Tensor], weights: Tensor, name: str) -> Tensor | None:
    """The weighted sum of differences to `origin`; None where there are none."""
    if all(torch.equal(origin, each) for each in tensors):
        return None
    if not origin.is_floating_point():
        raise InputError(f"adapters: tensor {name} holds whole numbers, which have no mean, and they differ")
    apart = torch.stack([each.double() - origin.double() for each in tensors])
    weights = weights.double().reshape(*weights.shape, *(1,) * (apart.ndim - weights.ndim))
    return (weights * apart).sum(0)


def _add(origin: Tensor, moved: Tensor) -> Tensor:
    return (origin.double() + moved).to(origin.dtype)
