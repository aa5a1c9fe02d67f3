"""The pass that scoring a text tower by texts rests on: its head moments over texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.heads.moments import HeadMoments
from headroles.heads.text_moments import observe_texts
from headroles.images.blocks import Blocking
from headroles.models.finite import FiniteRows
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import check_precision
from headroles.passes.image_pass import PassOptions, Progress
from headroles.passes.memory_fit import FittingForward
from headroles.passes.state import Seen


def fold_texts(
    model: HookedCLIP,
    texts: Sequence[str],
    layers: Sequence[int],
    blocks: int,
    options: PassOptions,
    *,
    precision: str = "no",
    fit: bool = False,
    progress: Progress | None = None,
) -> tuple[HeadMoments, Seen]:
    """Head moments of this process's part of the texts, in contiguous blocks, and what went into them.

    `fit`: forward in halves where the device's memory does not take a whole unit. A pass over texts is short: nothing
    is saved on its way. Raises InputError where a head's output is no number.
    """
    check_precision(model.device, precision)
    moments = HeadMoments.empty(model, layers, blocks, tower="text")
    cut, size = Blocking(len(texts)).cut(blocks), options.unit

    def read(numbers: Int[Tensor, "text"]) -> Float[Tensor, "text layer head width"]:
        return observe_texts(model, [texts[number] for number in numbers.tolist()], layers, precision)

    forward, finite = FittingForward(read, fit), FiniteRows(lambda number: f"the text {texts[number]!r}", precision)
    seen = Seen(total=len(texts))
    for unit in options.part.units(-(-len(texts) // size)):
        numbers = torch.arange(unit * size, min((unit + 1) * size, len(texts)))
        u = forward(numbers)
        finite.add(u, numbers.tolist())
        moments.update(u, cut.of(numbers))
        seen = Seen(seen.units + 1, seen.read + len(numbers), total=seen.total)
        if progress:
            progress(seen.read, seen.total)
    finite.finish()
    return moments, seen
