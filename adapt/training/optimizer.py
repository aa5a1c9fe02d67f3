"""What takes a training's steps: AdamW or SGD over a method's groups of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import nn

from headroles.adapt.config import SGD, TrainConfig
from headroles.adapt.methods.trained_group import TrainedGroup


def build_optimizer(groups: Sequence[TrainedGroup], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of a training; every group knows its `rate`, a multiple of the schedule's."""
    tensors = [{"params": list(group.tensors), "rate": group.rate, "lr": config.lr * group.rate} for group in groups]
    if config.optimizer == SGD:
        return torch.optim.SGD(tensors, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(tensors, lr=config.lr, weight_decay=config.weight_decay)


def clip_gradients(
    accelerator: Accelerator, optimizer: torch.optim.Optimizer, tensors: Sequence[nn.Parameter], longest: float
) -> None:
    """Shorten all gradients together to `longest`, as they are without the factor of half precision."""
    accelerator.unscale_gradients(optimizer)
    torch.nn.utils.clip_grad_norm_(tensors, longest)
