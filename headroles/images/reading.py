"""Reading: how images are read, said before work begins: how many, of which kinds, what is left out, as what."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headroles.images.blocks import Blocking
from headroles.images.images import ImageFiles, name_counts, printable
from headroles.images.notes import LOG, warn
from headroles.images.sources.parquet import ParquetImages
from headroles.images.sources.stream import StreamedImages
from headroles.images.sources.tar import TarImages


@dataclass(frozen=True)
class Reading:
    """How images are read."""

    source: str
    """What they are called."""
    count: int | None
    """How many there are; None for a stream."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Files by suffix, or members by key; empty where images are no files."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What lies beside them and is not read, by suffix or by what it is."""
    preprocessing: str = ""
    """What the model does to a picture, and where that was found."""

    def describe(self) -> str:
        """One line."""
        count = "a stream" if self.count is None else f"{self.count:,}"
        kinds = f" ({name_counts(Counter(self.kinds))})" if self.kinds else ""
        left_out = f"; left out: {name_counts(Counter(self.left_out))}" if self.left_out else ""
        return f"images: {printable(self.source)}, {count}{kinds}{left_out}; preprocessing: {self.preprocessing}"


def describe_images(images: Any, source: str, preprocess: Any = None) -> Reading:
    """How images are read that are open, `preprocess` for those that have none of their own."""
    count = None if isinstance(images, StreamedImages) else len(images)
    used = getattr(images, "preprocess", None) if preprocess is None else preprocess
    describe = getattr(used, "describe", None)
    name = describe() if describe else type(used).__name__ if used is not None else "none"
    return Reading(source, count, dict(_kinds(images)), dict(getattr(images, "left_out", {})), name)


def announce(reading: Reading, blocking: Blocking | None = None) -> None:
    """Say it to whoever listens to `LOG`, the command line on stderr; warn where groups are too few for intervals."""
    LOG.info(reading.describe())
    remark = blocking and blocking.groups and blocking.groups.remark()
    if remark:
        warn(remark)


def _kinds(images: Any) -> Counter[str]:
    if isinstance(images, ImageFiles):
        return Counter(_suffixes(images))
    if isinstance(images, TarImages):
        return images.kinds
    return Counter({"rows of parquet": len(images)}) if isinstance(images, ParquetImages) else Counter()


def _suffixes(images: ImageFiles) -> Iterator[str]:
    names = getattr(images.paths, "names", None) or map(str, images.paths)
    return (os.path.splitext(name)[1].lower() or "without suffix" for name in names)
