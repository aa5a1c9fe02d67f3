"""Reading: how images are read, said before work begins: how many, of which kinds, what is left out, as what."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headroles.checks import typed
from headroles.images.blocks import Blocking
from headroles.images.images import ImageFiles, name_counts, printable
from headroles.images.notes import LOG, warn
from headroles.images.sources.parquet import ParquetImages
from headroles.images.sources.stream import StreamedImages
from headroles.images.sources.tar import TarImages
from headroles.models.preprocess import describe_preprocess

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

_ONLY_LOOKING: ContextVar[bool] = ContextVar("only_looking", default=False)


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
    split: str = ""
    """Which images serve for what, where they are split."""
    preprocessing: str = ""
    """What the model does to a picture."""
    found_in: str = ""
    """Where that was found."""
    texts: str = ""
    """How the model's text tower reads texts: tokens at most, and where; "" where no text is read."""

    def describe(self) -> str:
        """One line."""
        count = "a stream" if self.count is None else f"{self.count:,}"
        kinds = f" ({name_counts(Counter(self.kinds))})" if self.kinds else ""
        left_out = f"; left out: {name_counts(Counter(self.left_out))}" if self.left_out else ""
        split = f"; {self.split}" if self.split else ""
        place = f", from {self.found_in}" if self.found_in else ""
        texts = f"; {self.texts}" if self.texts else ""
        return (
            f"images: {printable(self.source)}, {count}{kinds}{left_out}{split}; preprocessing: {self.preprocessing}"
            f"{place}{texts}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As results keep it, beside the images' name and number; of a place only the file's name."""
        place = os.path.basename(self.found_in) if os.path.exists(self.found_in) else self.found_in
        kept = {**dataclasses.asdict(self), "kinds": dict(sorted(self.kinds.items())), "found_in": place}
        kept["left_out"] = dict(sorted(self.left_out.items()))
        return {name: value for name, value in kept.items() if name not in ("source", "count")}


@typed
def describe_images(
    images: Any, source: str, preprocess: Any = None, *, split: str = "", reader: HookedCLIP | None = None
) -> Reading:
    """How images are read that are open, `preprocess` for those that have none of their own.

    `reader`: the model that reads texts beside them; None where no text is read.
    """
    count = None if isinstance(images, StreamedImages) else len(images)
    used = getattr(images, "preprocess", None) if preprocess is None else preprocess
    name, place = describe_preprocess(used)
    left_out = dict(getattr(images, "left_out", {}))
    texts = "" if reader is None else reader.describe_texts()
    return Reading(source, count, dict(_kinds(images)), left_out, split, name, place, texts)


def announce(reading: Reading, blocking: Blocking | None = None) -> Reading:
    """Say it to whoever listens to `LOG` (the command line prints it on stderr) before work begins, and return it.

    Warns where groups are too few for intervals.
    """
    LOG.info(reading.describe())
    remark = blocking and blocking.groups and blocking.groups.remark()
    if remark:
        warn(remark)
    stop_if_looking()
    return reading


@contextmanager
def only_looking() -> Iterator[None]:
    """Inside, work stops where it would begin: all is open and checked by then, and how it is read was said."""
    token = _ONLY_LOOKING.set(True)
    try:
        with suppress(Looked):
            yield
    finally:
        _ONLY_LOOKING.reset(token)


def stop_if_looking(line: str = "") -> None:
    """Leave `only_looking`, where that is open; `line` is said before."""
    if _ONLY_LOOKING.get():
        if line:
            LOG.info(line)
        raise Looked


class Looked(BaseException):
    """Ends what `only_looking` was opened for; no error."""


def _kinds(images: Any) -> Counter[str]:
    if isinstance(images, ImageFiles):
        return Counter(_suffixes(images))
    if isinstance(images, TarImages):
        return images.kinds
    return Counter({"rows of parquet": len(images)}) if isinstance(images, ParquetImages) else Counter()


def _suffixes(images: ImageFiles) -> Iterator[str]:
    names = getattr(images.paths, "names", None) or map(str, images.paths)
    return (os.path.splitext(name)[1].lower() or "without suffix" for name in names)
