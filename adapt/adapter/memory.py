"""What an adapter remembers of its task, by content and not by a path's spelling."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headroles.adapt.data.examples import Example, RowSource
from headroles.adapt.data.task import Task

SPLITS = ("train", "val", "test")


def remember_split(task: Task) -> dict[str, dict[str, Any]]:
    """Split -> how many images, and a sha256 over their classes and their places within the task, in any order."""
    return {split: sum_examples(task, getattr(task, split)) for split in SPLITS}


def sum_examples(task: Task, examples: Sequence[Example]) -> dict[str, Any]:
    """One split of `remember_split`."""
    lines = sorted(f"{task.classes[example.label]}\t{example.key}" for example in examples)
    return {"images": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def image_ids(examples: Iterable[Example]) -> dict[str, str]:
    """Id -> name of images: 16 hex digits of the sha256 of a picture's bytes, or of the name of a rendered one."""
    return {_image_id(example): example.key for example in examples}


def _image_id(example: Example) -> str:
    content = example.key.encode()
    source = example.source
    with contextlib.suppress(OSError, ValueError):  # Whoever opens the image says so.
        if isinstance(source, (str, os.PathLike)):
            content = Path(source).read_bytes()
        elif isinstance(source, RowSource):
            content = source.content()
    return hashlib.sha256(content).hexdigest()[:16]
