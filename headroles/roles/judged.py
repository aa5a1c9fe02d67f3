"""Judged: the images that are to judge the heads of a role map, held against those that the map was scored on.

Heads that were chosen by some images look better on the same images than on others, whatever the measure; so images
that a role map was scored on do not judge it.
"""

from __future__ import annotations

from jaxtyping import Bool, Int, UInt64
from numpy import ndarray
from torch import Tensor

from headroles.errors import InputError
from headroles.files.sketch import Sketch
from headroles.roles.role_map import RoleMap

MOST = 0.01
"""Share of the judging images that a role map may have been scored on: a few copies turn up in large collections."""


class Judged:
    """Told of images as they are read (`headroles.images.images.Watch`), it ends the reading as soon as too many of
    them are known for certain; `finish` says how many there were."""

    def __init__(self, role_map: RoleMap, source: str, judges: Bool[ndarray, "image"], allowed: bool = False) -> None:
        """`source`: what the images are called; `judges`: which of them judge; `allowed`: count, but refuse none."""
        self.role_map, self.source, self.judges, self.allowed = role_map, source, judges, allowed
        self.sketch = Sketch(role_map.images.sketch)
        self.read = self.known = self.comparable = 0

    def __call__(self, number: Int[Tensor, "image"], fingerprints: UInt64[ndarray, "image"]) -> None:
        """Count these images; InputError where they alone are too many for all that judge."""
        own = fingerprints[self.judges[number.numpy()]]
        known, comparable = self.sketch.count(own)
        self.read += len(own)
        self.known += known
        self.comparable += comparable
        if self.known > MOST * self.sketch.share * self.judges.sum():
            self._refuse()

    def finish(self) -> float:
        """Share of the images that the map was scored on, when all are read; InputError where it is too large."""
        if self.overlap > MOST:
            self._refuse()
        return self.overlap

    @property
    def overlap(self) -> float:
        """Estimated share of the images read so far."""
        return self.known / self.comparable if self.comparable else 0.0

    def _refuse(self) -> None:
        if self.allowed:
            return
        scored, chose = self.role_map.images.source, ""
        if self.role_map.probe_kind == "image":
            chose = ", and labels that chose heads cannot judge them"
        scenes = " (--seed for other scenes)" if scored == self.source == "shapes" else ""
        raise InputError(
            f"images: {self.overlap:.0%} of the {self.read:,} images read of {self.source} are among those that the "
            f"role map was scored on ({scored}){chose}; give others{scenes}, or --allow-overlap",
            page="overlap",
        )


def describe_overlap(overlap: float) -> str:
    """One line, for results that images with an overlap gave."""
    return f"note: the role map was scored on {overlap:.1%} of these images, which flatters its heads"
