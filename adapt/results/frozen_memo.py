"""What the frozen CLIP gives for test images, computed once where many methods are tested on the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.method import Method

Memo = dict[Any, Tensor]
"""Task, images of a batch -> the frozen CLIP's unit embeddings."""
_MEMO: ContextVar[Memo | None] = ContextVar("frozen embeddings", default=None)


@contextmanager
def sharing_frozen(memo: Memo) -> Iterator[None]:
    """While open, the embeddings of one model's test images go to `memo`, whatever method is tested."""
    token = _MEMO.set(memo)
    try:
        yield
    finally:
        _MEMO.reset(token)


def run_images(
    method: Method, task: str, images: Sequence[str], pixels: Float[Tensor, "image 3 height width"]
) -> tuple[Float[Tensor, "image ..."], Float[Tensor, "image embed"]]:
    """The method's trunk of a batch, and the frozen CLIP's embeddings of it.

    These come from the trunk; or, within `sharing_frozen`, from the frozen CLIP alone, so that they are the same by
    every method. A method whose trunk they are takes them as they are.
    """
    memo = _MEMO.get()
    if memo is None:
        trunk = method.image_trunk(pixels)
        return trunk, method.frozen_images(trunk)
    place = (task, *images)
    if place not in memo:
        memo[place] = Method.image_trunk(method, pixels)
    whole = type(method).image_trunk is Method.image_trunk
    return memo[place] if whole else method.image_trunk(pixels), memo[place]
