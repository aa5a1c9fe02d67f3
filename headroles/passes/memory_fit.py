"""A batch as large as a GPU's memory takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from headroles.errors import InputError

AUTO = {"cuda": 256, "cpu": 64}
"""Images a forward where nothing else is asked for, by kind of device: a GPU's is halved as often as needed."""


class FittingForward:
    """A forward that is done in halves, and halves of these, from the first time that memory runs out."""

    def __init__(self, forward: Callable[[Tensor], Tensor], may_split: bool = True) -> None:
        self.forward, self.may_split = forward, may_split
        self.limit: int | None = None
        """Images at once; None as long as every batch has fitted."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """The forward's result for all images of a batch, whose first axis is theirs."""
        while True:
            try:
                parts = [self.forward(part) for part in pixels.split(self.limit or max(1, len(pixels)))]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except torch.OutOfMemoryError as error:
                self._halve(min(self.limit or len(pixels), len(pixels)), error)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # Here, where the error no longer holds what was allocated.

    def _halve(self, images: int, error: Exception) -> None:
        if not self.may_split or images == 1:
            remedy = "use a smaller model or --precision bf16" if images == 1 else "give --batch auto or a smaller one"
            raise InputError(f"batch: {images} images do not fit in the device's memory; {remedy}") from error
        self.limit = images // 2
