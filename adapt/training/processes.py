"""Training in one process or several: Accelerate's set-up, and gradients that are those of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from headroles.models.precision import check_precision
from headroles.passes.processes import add_up, is_main, join, launched, on_main, several, share

__all__ = ["add_up", "add_up_gradients", "check_precision", "is_main", "join", "on_main", "open_accelerator", "share"]


def open_accelerator(device: torch.device, precision: str = "no") -> Accelerator:
    """Accelerate for a model on `device`; may be called again with another precision in the same process."""
    check_precision(device, precision)
    # Accelerate keeps the first precision of a process for good, which a notebook with two trainings cannot live with.
    AcceleratorState._reset_state(reset_partial_state=not launched())
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")


def add_up_gradients(parameters: Sequence[nn.Parameter], numbers: Tensor) -> Tensor:
    """Replace every gradient by its sum over the processes, in one message; returns the sum of `numbers` too."""
    if not several():
        return numbers
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = add_up(torch.cat([*(gradient.flatten().float() for gradient in gradients), numbers.float()]))
    *parts, numbers = total.split([*(gradient.numel() for gradient in gradients), len(numbers)])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return numbers
