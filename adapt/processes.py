"""One process or several: who computes what, and how their parts become one.

Several processes are started from outside (`torchrun`, `accelerate launch`); every one runs the same code.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from headroles.errors import InputError

T = TypeVar("T")


def open_accelerator(device: torch.device, precision: str = "no") -> Accelerator:
    """Accelerate for a model on `device`; may be called again with another precision in the same process."""
    check_precision(device, precision)
    # Accelerate keeps the first precision of a process for good, which a notebook with two trainings cannot live with.
    AcceleratorState._reset_state(reset_partial_state=not _launched())
    return Accelerator(mixed_precision=precision, cpu=device.type == "cpu")


def check_precision(device: torch.device, precision: str) -> None:
    """InputError where the device cannot train in this precision."""
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision must be no or bf16 on the CPU, got fp16; fp16 needs a GPU")


def join(device: str = "auto") -> str:
    """Meet the other processes, if any, and return this one's device; "auto" is its own GPU, or the CPU without one."""
    cpu = device == "cpu" or not torch.cuda.is_available()
    if _launched():
        PartialState(cpu=cpu)
        atexit.register(_part)
    if device != "auto":
        return device
    return "cpu" if cpu else str(PartialState().device) if _launched() else "cuda"


def _part() -> None:
    """Close the connections before the interpreter goes: their threads would abort it if they outlived it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def on_main(work: Callable[[], T]) -> T:
    """The result of `work` done by the main process alone; its InputError is raised in all of them."""
    if not _several():
        return work()
    outcome: list = [None, None]
    if PartialState().is_main_process:
        try:
            outcome[0] = work()
        except InputError as error:
            outcome[1] = str(error)
    result, mistake = broadcast_object_list(outcome)
    if mistake is not None:
        raise InputError(mistake)
    return result


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return not _several() or PartialState().is_main_process


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of `items`: a run of neighbours; the parts differ by one item at most and may be empty."""
    if not _several():
        return items
    state = PartialState()
    first, last = (len(items) * (state.process_index + more) // state.num_processes for more in (0, 1))
    return items[first:last]


def add_up(tensor: Tensor) -> Tensor:
    """The sum of the processes' tensors, in all of them."""
    if not _several():
        return tensor
    total = tensor.clone()
    torch.distributed.all_reduce(total)
    return total


def add_up_gradients(parameters: Sequence[nn.Parameter], numbers: Tensor) -> Tensor:
    """Replace every gradient by its sum over the processes, in one message; returns the sum of `numbers` too."""
    if not _several():
        return numbers
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = add_up(torch.cat([*(gradient.flatten().float() for gradient in gradients), numbers.float()]))
    *parts, numbers = total.split([*(gradient.numel() for gradient in gradients), len(numbers)])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return numbers


def _launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _several() -> bool:
    return _launched() and PartialState().num_processes > 1
