"""What many trainings and tests on the same images need but once: pixels, and what the frozen CLIP makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

LIMIT = 256 * 2**20
"""Bytes of images as they are tested, and again of one seed's views of the training images."""


@dataclass
class _Part:
    kept: dict[Hashable, tuple[Tensor, float]] = field(default_factory=dict)
    """Place -> what is there, and the seconds of making it."""
    bytes: int = 0


@dataclass
class ImageMemo:
    """Tensors that stay as they are while one task's methods are trained and tested, one after another.

    What was found once is found again bit for bit; once `limit` is reached, what is new is not kept, but for what is
    small. Nobody may change what it gives in place.
    """

    limit: int = LIMIT
    """Bytes of what is tested, and again of the views."""
    spared_seconds: float = 0.0
    """Seconds that making took what was then found here, all in all."""
    _of: tuple[str, int] | None = None
    _tested: _Part = field(default_factory=_Part)
    _views: _Part = field(default_factory=_Part)

    def turn_to(self, task: str, seed: int) -> None:
        """Forget what belongs to the trainings of another task or seed."""
        if self._of is None or self._of[0] != task:
            self._tested = _Part()
        if self._of != (task, seed):
            self._views = _Part()
        self._of = task, seed

    def recall(self, place: Hashable, make: Callable[[], Tensor], view: bool = False, always: bool = False) -> Tensor:
        """What is at a place, made now if it is not there.

        `view`: as one seed sees a training image. `always`: small, so kept whatever the limit, unless it is a view.
        """
        part, small = (self._views, False) if view else (self._tested, always)
        # A tensor of inference mode may have no part in a training.
        where = (place, torch.is_inference_mode_enabled())
        if where in part.kept:
            found, seconds = part.kept[where]
            self.spared_seconds += seconds
            return found
        begun = _clock()
        made = make()
        if small or part.bytes + made.nbytes <= self.limit:
            part.kept[where] = made, _clock() - begun
            part.bytes += made.nbytes
        return made

    def held(self, device: torch.device) -> int:
        """Bytes on a device."""
        kept = (*self._tested.kept.values(), *self._views.kept.values())
        return sum(each.nbytes for each, _ in kept if each.device == device)


def _clock() -> float:
    """Seconds, once all that was asked of a GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


_MEMO: ContextVar[ImageMemo | None] = ContextVar("image memo", default=None)


@contextmanager
def sharing(memo: ImageMemo) -> Iterator[None]:
    """While open, what is made of images goes to `memo`, and comes from it, whatever method is trained or tested."""
    token = _MEMO.set(memo)
    try:
        yield
    finally:
        _MEMO.reset(token)


def open_memo() -> ImageMemo | None:
    """The memo that is shared now; None where there is none, or in a process that only decodes images."""
    return None if get_worker_info() else _MEMO.get()


def recall(place: Hashable, make: Callable[[], Tensor], view: bool = False, always: bool = False) -> Tensor:
    """`ImageMemo.recall` where one is shared; else what `make` gives."""
    memo = open_memo()
    return make() if memo is None else memo.recall(place, make, view, always)
