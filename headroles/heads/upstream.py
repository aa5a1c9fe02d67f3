"""Upstream: how much of what earlier heads write each direction of a head reads, from weights alone.

A singular value says how strongly a direction writes what it reads, and nothing of how much there is to read. What
earlier heads can write into the residual stream is known from their weights too: with M = W_V W_O of each of them, a
direction that reads u gets u' (sum M'M) u of it (composition of values: Elhage et al. 2021, "A Mathematical Framework
for Transformer Circuits").
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.heads.directions import Directions
from headroles.models.hooked_clip import Tower

READINGS = ("heads", "equal")
"""A direction counts by what earlier heads write along what it reads, or all read equally much."""


@torch.no_grad()
def strengths(tower: Tower, directions: Directions, reading: str = "heads") -> Float[Tensor, "layer head direction"]:
    """sigma^2, the variance that a direction writes of inputs that vary equally along all that could be read.

    `reading` "heads": times the variance of what earlier heads write along what it reads, whose mean over the residual
    stream is 1; before the heads of layer 0 there are none, and all counts equally.
    """
    found = directions.sigma**2
    return found * _heard(tower, directions) if reading == "heads" else found


def _heard(tower: Tower, directions: Directions) -> Float[Tensor, "layer head direction"]:
    upstream = torch.zeros(tower.width, tower.width).to(directions.sigma)
    heard = torch.ones_like(directions.sigma)
    for layer in range(max(directions.layers) + 1):
        if layer in directions.layers and layer:
            reads = directions.reads[directions.layers.index(layer)]
            along = torch.einsum("hrj,rs,hsj->hj", reads, upstream, reads)
            heard[directions.layers.index(layer)] = along * tower.width / upstream.trace().clamp_min(1e-300)
        if layer < tower.layers:
            values, output = tower.circuit(layer)
            square = (values.mT @ values) @ output
            upstream += torch.einsum("hkr,hks->rs", output, square)
    return heard
