"""One process or several: who does what, and how their parts become one.

Several processes are started from outside (`torchrun`, `accelerate launch`); every one runs the same code.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar, cast

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from headroles.errors import InputError, ToldElsewhere, said

T = TypeVar("T")
_PATIENCE = timedelta(days=7)
"""How long a process waits for the others: one that reads a slower disk may be hours behind at the end of a pass."""
_FAILED = "headroles/failed"
"""Key in the processes' common store that is set as soon as one of them cannot go on."""


def join(device: str = "auto") -> str:
    """Meet the other processes, if any, and return this one's device; "auto" is its own GPU, or the CPU without one."""
    cpu = device == "cpu" or not torch.cuda.is_available()
    if launched():
        PartialState(cpu=cpu, timeout=_PATIENCE)
        atexit.register(_part)
    if device != "auto":
        return device
    return "cpu" if cpu else str(PartialState().device) if launched() else "cuda"


def _part() -> None:
    """Close the connections before the interpreter goes: their threads would abort it if they outlived it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def on_main(work: Callable[[], T]) -> T:
    """The result of `work` done by the main process alone; where it fails, all do, and the main one says why."""
    if not several():
        return work()
    outcome: list = [None, None]
    error = None
    if PartialState().is_main_process:
        try:
            outcome[0] = work()
        except Exception as caught:
            error, outcome[1] = caught, _describe(caught)
    result, mistake = broadcast_object_list(outcome)
    if mistake is not None:
        raise error or ToldElsewhere(mistake)
    return result


def together(work: Callable[[], T]) -> T:
    """The result of `work`, done by every process for itself; where one fails, all do, and the main one says why.

    `work` must not talk to the other processes, but may ask `others_failed`. An error that is no InputError keeps its
    kind in the process that it came from.
    """
    if not several():
        return work()
    result: T | None = None
    error: Exception | None = None
    try:
        result = work()
    except Exception as caught:
        error = caught
        _store().set(_FAILED, "1")
    mistakes = gather_object([] if error is None else [_describe(error)])
    if not mistakes:
        return cast(T, result)
    if is_main():
        raise error or InputError(mistakes[0])
    raise ToldElsewhere(mistakes[0]) from error


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {said(error)}"


def others_failed() -> bool:
    """Whether a process has failed within `together`, so that going on is of no use."""
    return several() and _store().check([_FAILED])


def _store() -> torch.distributed.Store:
    # Where the processes met. torch has no public name for it; a group's own collectives would need all to wait.
    return torch.distributed.distributed_c10d._get_default_store()


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return not several() or PartialState().is_main_process


def place() -> tuple[int, int]:
    """(this process's number, how many there are)."""
    return (PartialState().process_index, PartialState().num_processes) if several() else (0, 1)


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of `items`: a run of neighbours; the parts differ by one item at most and may be empty."""
    number, processes = place()
    first, last = (len(items) * (number + more) // processes for more in (0, 1))
    return items[first:last]


def add_up(tensor: Tensor) -> Tensor:
    """The sum of the processes' tensors, in all of them."""
    if not several():
        return tensor
    total = tensor.clone()
    torch.distributed.all_reduce(total)
    return total


def gather(items: list[T]) -> list[T]:
    """The processes' lists, one after another, in all of them."""
    return gather_object(items) if several() else items


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def several() -> bool:
    """Whether this process has met others."""
    return launched() and PartialState().num_processes > 1
