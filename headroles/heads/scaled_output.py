"""Heads scaled in the weights of their output projection, and a check that a copy holds just that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.models.checkpoints.rewrite import Change, Pair
from headroles.models.hooked_clip import HookedCLIP


def scale_output(
    operators: Mapping[int, Float[Tensor, "width width"]], means: Mapping[int, Float[Tensor, "width"]], pair: Pair
) -> Pair:
    """W_O -> E W_O of each head, and b_O -> b_O + m (I - E) W_O where a mean m stays; columns of others as they are."""
    weight, bias = pair
    new = weight.clone()
    for head, operator in operators.items():
        width = len(operator)
        own = slice(head * width, (head + 1) * width)
        new[:, own] = weight[:, own] @ operator.mT
        if head in means and bias is not None:
            bias = bias + (weight[:, own] - new[:, own]) @ means[head]
    return new, bias


def check_scaled(before: HookedCLIP, written: HookedCLIP, changes: Sequence[Change]) -> float:
    """The largest error that storing the changes made, over the largest number of what was changed.

    Raises RuntimeError where the written model is not the one before with these changes, and nothing else, in it.
    """
    old, new = before.clip.state_dict(), written.clip.state_dict()
    touched = {f"{change.name}.{part}" for change in changes for part in ("weight", "bias")}
    strange = [name for name in old if name not in touched and not torch.equal(old[name].cpu(), new[name])]
    if strange or old.keys() != new.keys():
        raise RuntimeError(f"the copy differs in {(strange or sorted(old.keys() ^ new.keys()))[0]}")
    return max((_error(change, new) for change in changes), default=0.0)


def _error(change: Change, new: Mapping[str, Tensor]) -> float:
    """Of one module, relative."""
    module = change.module
    old = None if module.bias is None else module.bias.detach().double().cpu()
    weight, bias = change.apply((module.weight.detach().double().cpu(), old))
    expected = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    off = [
        (new[f"{change.name}.{name}"].double() - each).abs().max() / each.abs().max().clamp_min(1e-300)
        for name, each in expected.items()
    ]
    worst = torch.stack(off).max()
    if worst > 2.0**-7:  # bfloat16's.
        raise RuntimeError(f"the copy's {change.name} is not what was to be written")
    return worst.item()
