"""Every file of a task is looked at before work begins: it exists, it is a whole picture, and it is there once."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headroles.adapt.data.examples import Example, RowSource, ShapesSource
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.images.images import UNREADABLE, open_image
from headroles.images.notes import LOG
from headroles.passes.processes import is_main

_SHOWN = 3
"""Images that a note names."""
_MANY = 2000
"""So many take long enough to say that they are looked at."""


@dataclass(frozen=True)
class Look:
    """What an image file is."""

    error: str = ""
    """Why it cannot be read."""
    digest: bytes = b""
    """Hash of its bytes."""


def look(task: Task, strict: bool = False) -> Task:
    """The task without its broken images, which are counted and named in its notes; rendered pictures are not read.

    An image whose bytes are in the training and in the test images, or under two classes, is named; where the split
    was made here, it does not test. `strict`: InputError for all of these. Raises InputError where a class is left
    without images.
    """
    if isinstance((*task.test, *task.train)[0].source, ShapesSource):
        return task
    images = (*task.train, *task.val, *task.test)
    if len(images) >= _MANY and is_main():
        LOG.info(f"looking at {len(images):,} images of {task.name}")
    seen = look_at(images)
    broken = {key: each.error for key, each in seen.items() if each.error}
    notes = list(_say_broken(task, broken, strict))
    task = leave_out(task, broken)
    repeated, said = _repeats(task, seen, strict)
    if task.split_here and repeated:
        tested = tuple(e for e in task.test if e.key not in repeated)
        _check_classes(task, "test", task.test, tested, "all are trained on too")
        task = dataclasses.replace(task, test=tested)
    left_out = (*task.left_out, *broken, *(repeated if task.split_here else ()))
    return dataclasses.replace(task, notes=(*task.notes, *notes, *said), left_out=left_out)


def look_at_test(task: Task, strict: bool = False) -> Task:
    """A task that is only tested, without its broken images.

    Of one's own data the training images are looked at too: the split is the one of a training.
    """
    if task.own:
        return look(task, strict)
    looked = look(dataclasses.replace(task, train=(), val=()), strict)
    return dataclasses.replace(looked, train=task.train, val=task.val)


def leave_out(task: Task, keys: Collection[str]) -> Task:
    """The task without some images; InputError where a class has none left."""
    if not keys:
        return task
    train, val, test = (tuple(e for e in part if e.key not in keys) for part in (task.train, task.val, task.test))
    for split, before, part in (("training", task.train, train), ("test", task.test, test)):
        _check_classes(task, split, before, part, "none can be read")
    return dataclasses.replace(task, train=train, val=val, test=test)


def look_at(examples: Sequence[Example]) -> dict[str, Look]:
    """What each image is, by its key."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:
        return dict(zip((e.key for e in examples), threads.map(_look_at, examples), strict=True))


def _read_file(path: str | os.PathLike[str]) -> bytes:
    if not stat.S_ISREG(os.stat(path).st_mode):  # A pipe or a device that is named .png would be waited for.
        raise ValueError("no regular file")
    with open(path, "rb") as file:
        return file.read()


def _look_at(example: Example) -> Look:
    source = example.source
    assert not isinstance(source, ShapesSource)
    try:
        content = source.content() if isinstance(source, RowSource) else _read_file(source)
        open_image(io.BytesIO(content))
        return Look(digest=hashlib.sha256(content).digest())
    except UNREADABLE as error:
        why = str(getattr(error, "strerror", None) or error)
        return Look(" ".join(why.split()) or type(error).__name__)


def _say_broken(task: Task, broken: dict[str, str], strict: bool) -> tuple[str, ...]:
    if not broken:
        return ()
    shown = ", ".join(f"{key} ({error})" for key, error in list(broken.items())[:_SHOWN])
    more = " ..." if len(broken) > _SHOWN else ""
    count = "1 image" if len(broken) == 1 else f"{len(broken)} images"
    if strict:
        raise InputError(f"task: {count} of {task.name} cannot be read: {shown}{more}; mend them or take them out")
    return (f"left out {count} of {task.name} that cannot be read: {shown}{more}",)


def _repeats(task: Task, seen: dict[str, Look], strict: bool) -> tuple[dict[str, str], list[str]]:
    """Test images whose bytes are trained on too, and what to say about all images that are there twice."""
    trained = {seen[e.key].digest: e for e in task.train}
    twins = {e.key: trained[seen[e.key].digest].key for e in task.test if seen[e.key].digest in trained}
    labels: dict[bytes, Example] = {}
    clashes: list[str] = []
    for example in (*task.train, *task.test):
        first = labels.setdefault(seen[example.key].digest, example)
        if first.label != example.label:
            names = f"{task.classes[first.label]!r}, and {example.key} of {task.classes[example.label]!r}"
            clashes.append(f"{first.key} of {names}")
    said = []
    if clashes:
        said.append(f"the same picture under two classes, {_count(clashes)}: {_list(clashes)}")
    if twins:
        fate = "left out of the test" if task.split_here else "their accuracy says nothing"
        pairs = [f"{test} is {train}" for test, train in twins.items()]
        said.append(f"test images that are trained on too, {_count(pairs)}, {fate}: {_list(pairs)}")
    if strict and said:
        raise InputError(f"task: {task.name} holds {said[0]}; take them out, or leave out --strict")
    return twins, said


def _count(found: Sequence[str]) -> str:
    return "once" if len(found) == 1 else f"{len(found)} times"


def _list(found: Sequence[str]) -> str:
    return "; ".join(found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")


def _check_classes(task: Task, split: str, before: Sequence[Example], after: Sequence[Example], why: str) -> None:
    """InputError where a class had images before and has none after."""
    lost = {e.label for e in before} - {e.label for e in after}
    if lost:
        raise InputError(
            f"task: class {task.classes[min(lost)]!r} of {task.name} has no {split} image left, as {why}; add some or "
            "drop the class"
        )
