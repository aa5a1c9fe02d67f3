"""Sketch: which images were read, kept as a short text, so that others can be held against them later.

Every image has a fingerprint of 64 bits, as good as drawn at random (`headroles.images.fingerprints`). A sketch keeps
the first 40 bits of the `KEPT` smallest different ones: all of them up to so many images, and beyond that those of a
uniform sample (bottom-k sketch: Bar-Yossef et al. 2002; Broder 1997). So it is the same whatever the order in which
images come and however they were shared out, and two sketches make one. Of n images at most 20,000 are kept: 7 letters
an image, 133 kB at most.

With k = min(n, KEPT) kept, an image that was not read passes for one that was with probability k / range <= n / 2^40:
2e-8 for 20,000 images, 1e-6 for a million. Of m other images about c = m min(1, KEPT / n) can be compared at all; where
a share s of them was read, its estimate deviates by sqrt(s (1 - s) / c) beyond n = KEPT, and by nothing below.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import UInt64
from numpy import ndarray

KEPT = 20_000
"""Fingerprints that a sketch keeps."""
_BYTES = 5
"""Of every fingerprint that is kept."""
_SHIFT = np.uint64(64 - 8 * _BYTES)


@dataclass(frozen=True)
class Sketch:
    """What is kept of the fingerprints of many images."""

    text: str = ""
    """The smallest ones, ascending, 5 bytes each, most significant first, in base64; "": of no image."""

    @classmethod
    def of(cls, fingerprints: UInt64[ndarray, "image"]) -> Sketch:
        """The sketch of these images alone."""
        return cls._keep(fingerprints >> _SHIFT)

    @classmethod
    def merge(cls, sketches: Iterable[Sketch]) -> Sketch:
        """Of all images that any of them has."""
        return cls._keep(np.concatenate([np.zeros(0, np.uint64), *(each.kept for each in sketches)]))

    @classmethod
    def _keep(cls, values: UInt64[ndarray, "image"]) -> Sketch:
        smallest = np.unique(values)[:KEPT]
        return cls(b64encode(smallest.astype(">u8").view(np.uint8).reshape(-1, 8)[:, -_BYTES:].tobytes()).decode())

    @cached_property
    def kept(self) -> UInt64[ndarray, "kept"]:
        """The first 40 bits of the fingerprints that are kept, ascending. ValueError for a text that is no sketch."""
        rows = np.frombuffer(b64decode(self.text, validate=True), np.uint8).reshape(-1, _BYTES)
        values = np.pad(rows, ((0, 0), (8 - _BYTES, 0))).view(">u8")[:, 0].astype(np.uint64)
        if len(values) > KEPT or not (values[1:] > values[:-1]).all():
            raise ValueError(f"expected up to {KEPT:,} different fingerprints, ascending")
        return values

    @property
    def share(self) -> float:
        """Share of all possible fingerprints that lie where the sketch knows every image: 1 below `KEPT` images."""
        return (int(self.kept[-1]) + 1) / 2 ** (8 * _BYTES) if len(self.kept) == KEPT else 1.0

    def add(self, fingerprints: UInt64[ndarray, "image"]) -> Sketch:
        """With these images too."""
        values = fingerprints >> _SHIFT
        if len(self.kept) == KEPT and not (values < self.kept[-1]).any():
            return self
        return self._keep(np.concatenate([self.kept, values]))

    def count(self, fingerprints: UInt64[ndarray, "image"]) -> tuple[int, int]:
        """(known, comparable): how many of these images it has, and how many of them it would have kept."""
        values = fingerprints >> _SHIFT
        comparable = values[values <= self.kept[-1]] if len(self.kept) == KEPT else values
        return int(np.isin(comparable, self.kept).sum()), len(comparable)


def overlap(sketch: Sketch, fingerprints: UInt64[ndarray, "image"]) -> float:
    """Estimated share of these images that are in the sketch; 0 where none can be compared."""
    known, comparable = sketch.count(fingerprints)
    return known / comparable if comparable else 0.0
