"""What methods learn of each head from a task's few images: factors, weights, gates, and what TaLo gains without it.

All are turned so that more means more used.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.config import split_settings
from headroles.adapt.data.task import Task
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import find_method
from headroles.adapt.training.train import fit
from headroles.adapt.uses.costs import HeadCosts
from headroles.heads.names import Head
from headroles.heads.weights import LearnConfig, learn_factors
from headroles.models.hooked_clip import HookedCLIP

LEARNED: dict[str, tuple[str, Callable[[Any], Mapping[Head, float]]]] = {
    "ltv": ("weight", lambda method: _by_head(method.heads, method.weights.detach().abs())),
    "head-purification": ("gate", lambda method: _on_grid(method.gates.detach())),
    "talo": ("delta", lambda method: _on_grid(torch.where(method.tried, -method.gains, torch.nan)[:, :-1])),
}
"""Method -> what it knows of a head, and how to read that: the size of LTV's theta; head purification's gate, which
begins at 1 and is held in [0, 1] only where it is used; minus TaLo's gain without the head."""
SETTINGS: dict[str, dict[str, Any]] = {"talo": {"units": "heads", "measure": "margin", "rounds": 1}}
"""Settings other than the methods' own."""


def learn_of_heads(
    model: HookedCLIP, task: Task, name: str, heads: Sequence[Head], shots: int, seed: int, **settings: Any
) -> list[float | None]:
    """What a method has learned of each head from `shots` images a class; None where it says nothing of one."""
    kind = find_method(name)
    own, train = split_settings({**SETTINGS.get(name, {}), **settings}, kind.settings, kind.preset)
    few = task.few_shot(shots, seed)
    method: Method = kind(model, None, own, seed, few.classes)
    with tempfile.TemporaryDirectory() as folder:
        fit(method, few, dataclasses.replace(train, seed=seed), Path(folder))
    found = LEARNED[name][1](method)
    values = [found.get(head, float("nan")) for head in heads]
    return [None if value != value else value for value in values]


def learn_direct_factors(costs: HeadCosts, labels: Tensor, steps: int) -> Float[Tensor, "head"]:
    """A factor on each head's part of the embedding, about its mean, that tells the labels best.

    `headroles debias --learn` learns these against a cue; here they are learned for the task.
    """
    logits, parts = costs.logits.clone(), costs.parts.clone()  # Tensors of inference mode could not enter autograd.
    labels = labels.to(logits.device)

    def shifted(factors: Float[Tensor, "1 head"]) -> Float[Tensor, "image class"]:
        return logits + torch.einsum("h,ihc->ic", factors[0].to(parts) - 1, parts)

    config = LearnConfig(steps=steps, balanced=False)
    return learn_factors(shifted, (1, parts.shape[1]), labels, labels, config)[0]


def _by_head(heads: Sequence[Head], values: Tensor) -> Mapping[Head, float]:
    return dict(zip(heads, values.tolist(), strict=True))


def _on_grid(values: Float[Tensor, "layer head"]) -> Mapping[Head, float]:
    return {(layer, head): value for layer, row in enumerate(values.tolist()) for head, value in enumerate(row)}
