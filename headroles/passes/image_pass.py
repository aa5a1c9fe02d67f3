"""One pass over images of any number: shared out among processes and shards, stopped and resumed, always the same sums.

Images are read in *units*, runs of neighbouring numbers. A unit is forwarded whole, by whoever has it, so that what a
model says about an image never depends on the number of processes; only the order of the sums does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt64
from numpy import ndarray
from torch import Tensor

from headroles.errors import InputError
from headroles.images.images import Batch, Images, load_batches
from headroles.images.sources.stream import StreamedImages
from headroles.models.finite import all_finite
from headroles.passes.processes import add_up, gather, others_failed
from headroles.passes.state import LAYOUT, PassState, Seen

Fold = Callable[[Int[Tensor, "image"], Float[Tensor, "image 3 height width"]], None]
"""Adds images, by number and pixels, to the sums of a pass."""
Progress = Callable[[int, "int | None"], None]
"""Called with (images done, images in all) of this process; None where their number is not known yet."""


@dataclass(frozen=True)
class Part:
    """Which units are done here: every `shards`-th belongs to a shard, every `processes`-th of these to a process."""

    shard: int = 0
    """From 0."""
    shards: int = 1
    process: int = 0
    """From 0."""
    processes: int = 1

    def owns(self, unit: int) -> bool:
        """Whether this unit is done here."""
        return unit % self.shards == self.shard and unit // self.shards % self.processes == self.process

    def units(self, total: int) -> range:
        """The units done here, of `total`."""
        return range(self.shard + self.shards * self.process, total, self.shards * self.processes)


@dataclass(frozen=True)
class PassOptions:
    """How a pass is done; `unit` and `part` are the only ones that the sums depend on."""

    unit: int = 64
    """Images of a unit."""
    part: Part = field(default_factory=Part)
    workers: int = 0
    """Processes that decode images; 0: this one does."""
    strict: bool = False
    """Refuse a broken image instead of leaving it out."""
    state: PassState | None = None
    """Where the pass is saved on its way; None: nowhere."""
    resume: bool = False
    """Go on with what was saved, if anything was."""
    save_every: float = 60.0
    """Seconds between two saves."""


def run_pass(
    images: Images | StreamedImages,
    sums: Mapping[str, Tensor],
    fold: Fold,
    options: PassOptions,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Seen:
    """Fold this process's part of the images into `sums`, and say what was seen.

    `fold` adds to the tensors of `sums` in place; they are what is saved, restored and added up. `settings`: all that
    they depend on beside the images, compared when the pass is resumed. Other processes are not waited for; see
    `join_pass`. Raises InputError for a broken image where `options` say so, or where `resume` finds another pass.
    """
    settings = describe_pass(images, options, settings or {})
    seen = Seen()
    if options.state and options.resume:
        seen = options.state.load(sums, settings) or seen
    units = _Units(images, options, seen.units)
    saved = time.monotonic()
    for number, pixels, errors in units.load(next(iter(sums.values())).is_cuda):
        broken = _name_broken(images, errors, options.strict)
        if len(number):
            fold(number, pixels)
        seen = seen.add(units.fingerprints, broken)
        if options.state and time.monotonic() - saved >= options.save_every and all_finite(sums.values()):
            options.state.save(sums, seen, settings)
            saved = time.monotonic()
        if progress:
            progress(seen.read + len(seen.broken), units.images_here)
        if others_failed():
            raise InputError("another process cannot go on")
    return seen.end(units.total)


def join_pass(sums: Mapping[str, Tensor], seen: Seen) -> Seen:
    """Add up, in place and in float64, what the processes have; all of them get all."""
    for tensor in sums.values():
        tensor.copy_(add_up(tensor))
    return Seen.merge(gather([seen]))


def describe_pass(images: Images | StreamedImages, options: PassOptions, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All that the sums of a part depend on, as plain values."""
    part = options.part
    return {
        "layout of the state": LAYOUT,
        "images": images.fingerprint(),
        "batch": options.unit,
        "count": None if isinstance(images, StreamedImages) else len(images),
        "shard": f"{part.shard + 1}/{part.shards}",
        "processes": part.processes,
        **settings,
    }


class _Units:
    """The units of this part that are still to do, as lists of what the images take for a number."""

    def __init__(self, images: Images | StreamedImages, options: PassOptions, done: int) -> None:
        self.images, self.options, self.done = images, options, done
        self.total = None if isinstance(images, StreamedImages) else len(images)
        self.images_here = None if self.total is None else sum(map(len, self._ranges(self.total, 0)))
        self.fingerprints = np.zeros(0, np.uint64)
        """Of the images of the batch that `load` gave last."""

    def load(self, pin: bool) -> Iterator[Batch]:
        """Their batches, decoded ahead of time where there are workers."""
        return load_batches(
            self.images,
            self._watch,
            batch_sampler=self,
            num_workers=self.options.workers,
            pin_memory=pin,
            prefetch_factor=2 if self.options.workers else None,
        )

    def _watch(self, number: Int[Tensor, "image"], fingerprints: UInt64[ndarray, "image"]) -> None:
        self.fingerprints = fingerprints

    def __iter__(self) -> Iterator[list[Any]]:
        if isinstance(self.images, StreamedImages):
            return self._streamed(self.images)
        return map(list, self._ranges(len(self.images), self.done))

    def _ranges(self, total: int, skip: int) -> Iterator[range]:
        size = self.options.unit
        for unit in self.options.part.units(-(-total // size))[skip:]:
            yield range(unit * size, min((unit + 1) * size, total))

    def _streamed(self, images: StreamedImages) -> Iterator[list[Any]]:
        part, size = self.options.part, self.options.unit
        first = part.units(1 << 60)[self.done] * size
        number, unit = first - 1, []
        for number, cell in images.items(first):
            if part.owns(number // size):
                unit.append((number, cell))
            if unit and (number + 1) % size == 0:
                yield unit
                unit = []
        if unit:
            yield unit
        self.total = number + 1


def _name_broken(
    images: Images | StreamedImages, errors: list[tuple[int, str]], strict: bool
) -> tuple[tuple[int, str], ...]:
    broken = tuple((number, images.name(number)) for number, _ in errors)
    if broken and strict:
        raise InputError(f"images: {broken[0][1]} cannot be read ({errors[0][1]}); mend or remove it", page="no-images")
    return broken
