"""What a training costs: seconds, and the most memory that its process holds meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from headroles.adapt.data.image_memo import open_memo

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
"""Linux: 5, written to the first, lets the peak in the second begin anew."""


@dataclass
class Cost:
    """What a training has cost; whole once `metering` has ended."""

    seconds: float = 0.0
    """Of all that was done here."""
    memory: int | None = None
    """Most bytes: on CUDA what tensors held, on a CPU what the process did, model and libraries too; not those of
    a memo of images. None: unknown."""
    done: int = 0
    """Steps that were taken here."""
    steps: int = 0
    """Steps of the whole training; 0 of one that takes none."""

    @property
    def whole(self) -> float | None:
        """Seconds of the whole training, where it went on from a checkpoint as many times more as it had steps more.

        None where all steps were taken before.
        """
        if not self.steps:
            return self.seconds
        return self.seconds * self.steps / self.done if self.done else None


@contextmanager
def metering(device: torch.device) -> Iterator[Cost]:
    """Measure what the work inside costs; the work itself says its steps.

    What it found in a memo of images (`headroles.adapt.data.image_memo`) counts as if it had been made here: its
    seconds, and none of its bytes.
    """
    cost, begun, memo = Cost(), time.perf_counter(), open_memo()
    spared = memo.spared_seconds if memo else 0.0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _RESET.write_text("5")
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - begun
        cost.memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident_peak()
        if memo:
            cost.seconds += memo.spared_seconds - spared
            cost.memory = None if cost.memory is None else cost.memory - memo.held(device)


def _resident_peak() -> int | None:
    """Bytes since the last reset; None where the system does not say."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
