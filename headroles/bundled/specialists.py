"""Heads of the bundled model that training pushed to write one concept: the known truth that a role map can be held to.

Left alone, a model of this size writes most concepts early and mixes them within heads (see the model card). So
training keeps CLS empty until the last third of the layers, and gives half of the heads there one concept each: their
output should follow that concept's value and nothing else. The other heads and all MLPs are free.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPModel

from headroles.shapes.world import ABSENT, NAMES

FIRST_LAYER = 5
"""The first layer that may write into CLS."""
SPECIALISTS: dict[tuple[int, int], str] = {
    (5, 0): "color", (5, 1): "shape", (5, 2): "texture", (5, 3): "object",
    (6, 0): "color", (6, 1): "position", (6, 2): "size", (6, 3): "background",
    (7, 0): "position", (7, 1): "count", (7, 2): "shape", (7, 3): "texture",
}  # fmt: skip
"""(layer, head) -> its concept; both 0-based."""


class DeepOutputs:
    """What the deep layers do at CLS in the latest forward of a model, with gradients."""

    def __init__(self, model: CLIPModel) -> None:
        vision: Any = model.vision_model
        self._heads = vision.config.num_attention_heads
        self._layers: dict[int, Any] = dict(enumerate(vision.encoder.layers))
        self._z: dict[int, Tensor] = {}
        for number, layer in self._layers.items():
            layer.self_attn.out_proj.register_forward_pre_hook(lambda _, args, at=number: self._keep(at, args[0]))
        if FIRST_LAYER in self._layers:
            self._layers[FIRST_LAYER].register_forward_pre_hook(lambda _, args: self._start(args[0]))
        vision.encoder.register_forward_hook(lambda *call: self._end(call[-1].last_hidden_state))

    def _keep(self, layer: int, z: Tensor) -> None:
        self._z[layer] = z[:, 0].unflatten(-1, (self._heads, -1)).float()

    def _start(self, residual: Tensor) -> None:
        self._early = residual[:, 0].float()

    def _end(self, residual: Tensor) -> None:
        self._last = residual[:, 0].float()

    def output(self, layer: int, head: int) -> Float[Tensor, "image width"]:
        """What a head writes into CLS."""
        weight = self._layers[layer].self_attn.out_proj.weight.unflatten(-1, (self._heads, -1))
        return self._z[layer][:, head] @ weight[:, head].T

    def early_share(self) -> Float[Tensor, ""]:
        """Variance of CLS before the first deep layer, over that after the last one."""
        return self._early.var(0).sum() / self._last.var(0).sum()

    def mixing(self, labels: Int[Tensor, "image concept"]) -> Float[Tensor, ""]:
        """Mean over specialists of the share of variance that their concept's value does not explain."""
        shares = [
            1 - explained_share(self.output(*place), labels[:, NAMES.index(concept)])
            for place, concept in SPECIALISTS.items()
        ]
        return torch.stack(shares).mean()


def explained_share(rows: Float[Tensor, "image width"], values: Int[Tensor, "image"]) -> Float[Tensor, ""]:
    """Eta squared: variance between the groups of equal value over the whole, without images that have no value."""
    rows, values = rows[values != ABSENT], values[values != ABSENT]
    rows = rows - rows.mean(0)
    groups = torch.nn.functional.one_hot(values).to(rows.dtype)
    counts = groups.sum(0)
    between = ((groups.T @ rows) ** 2).sum(1) / counts.clamp_min(1)
    return between.sum() / (rows**2).sum().clamp_min(1e-12)
