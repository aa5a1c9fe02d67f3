"""TrainingData: what of a training's images a published schedule may depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingData:
    """What a method is trained on, before it is built."""

    task: str
    """The task's name; of the benchmark's data sets the name of their folder."""
    classes: int
    """Trained classes."""
    images: int
    """Training images."""
    shots: int | None
    """Training images a class that were asked for; None: all of them."""
    protocol: str
    """One of `headroles.adapt.results.protocols.PROTOCOLS`."""

    def epochs(self, steps: int, batch: int) -> int:
        """The fewest epochs with so many steps."""
        return math.ceil(steps / math.ceil(self.images / batch))
