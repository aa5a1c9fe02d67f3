"""What a layer's attention, or one of its heads, writes is left out: for a forward, or for a method at test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from headroles.heads.ablate import Hooks
from headroles.heads.names import head_name
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.lens import HookPoint


class Unit(NamedTuple):
    """What can be bypassed in the vision tower."""

    layer: int
    """0-based."""
    head: int | None = None
    """Its head; None: its whole attention, bias included."""

    @property
    def name(self) -> str:
        """L3, or L3.H1."""
        return f"L{self.layer}" if self.head is None else head_name((self.layer, self.head))


@contextmanager
def bypassing(model: HookedCLIP, units: Iterable[Unit]) -> Iterator[None]:
    """While open, every forward of the vision tower runs without what these units write, at all tokens."""
    hooks: Hooks = []
    for layer, head in units:
        block = f"visual.blocks.{layer}"
        if head is None:
            hooks.append((f"{block}.hook_attn_out", _nothing))
        else:
            hooks.append((f"{block}.attn.hook_z", partial(_without, head=head)))
    with model.hooks(fwd_hooks=hooks):
        yield


def read_images(tower: Tower, residual: Tensor) -> Tensor:
    """The embedding, not normalised, of the last residual stream (image, token, width) of whole images."""
    return tower.read(residual if tower.pooling else residual[:, 0])


def _nothing(output: Tensor, hook: HookPoint) -> Tensor:
    return torch.zeros_like(output)


def _without(z: Tensor, hook: HookPoint, head: int) -> Tensor:
    kept = torch.ones(z.shape[-2], 1, dtype=z.dtype, device=z.device)
    kept[head] = 0
    return z * kept
