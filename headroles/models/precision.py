"""Number formats of a forward: fp32, or matrix products in 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

from headroles.errors import InputError

PRECISIONS = ("no", "bf16", "fp16")
"""Accelerate's names; "no" is fp32."""
Found = TypeVar("Found")
"""What a method returns."""
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(device: torch.device, precision: str) -> None:
    """InputError where the device cannot compute in this precision."""
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision must be no or bf16 on the CPU, got fp16; fp16 needs a GPU")


def half_precision(device: torch.device, precision: str) -> AbstractContextManager:
    """While open, matrix products are computed in `precision`; weights, residual stream and LayerNorms stay fp32."""
    if precision == "no":
        return nullcontext()
    return torch.autocast(device.type, dtype=_TYPES[precision])


def in_full_precision(function: Callable[[Any, Any, Any], Found]) -> Callable[[Any, Any, Any], Found]:
    """A method in which nothing is computed in half precision, whatever is asked for around it.

    Its first argument says by `device` where. A decorator, since a context is three calls more in every step.
    """

    @wraps(function)
    def call(self: Any, images: Any, others: Any) -> Found:
        kind = images.device.type
        if not torch.is_autocast_enabled(kind) and not torch.compiler.is_exporting():
            return function(self, images, others)
        with torch.autocast(kind, enabled=False):
            return function(self, images, others)

    return call
