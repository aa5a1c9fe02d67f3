"""Whole heads, or directions of them, as matrices on z: what is taken of it, or what it becomes when scaled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.heads.directions import Directions
from headroles.heads.names import Head, Part, head_name, join_parts, parse_parts
from headroles.models.hooked_clip import Tower

Parts: TypeAlias = "str | Iterable[str | Head | Part]"
"""Heads and directions of heads, by name ("L6.H3,L7.*,L6.H5.D0-2") or as (layer, head)."""


def find_parts(tower: Tower, parts: Parts) -> tuple[Part, ...]:
    """One part a head, sorted; InputError for one that is not in the tower."""
    layers = tower.layers + tower.pooling
    found: list[Part] = []
    for part in [parts] if isinstance(parts, str) else parts:
        if isinstance(part, str):
            found += parse_parts(part, layers, tower.heads, tower.head_width)
            continue
        layer, head = part[:2]
        if not (0 <= layer < layers and 0 <= head < tower.heads):
            inside = f"layers 0-{layers - 1} of heads 0-{tower.heads - 1}"
            raise InputError(f"heads: {head_name((layer, head))} is not in this model; it has {inside}")
        found += parse_parts(Part(*part).name, layers, tower.heads, tower.head_width)
    return join_parts(found)


def read_factors(tower: Tower, factors: Mapping[str, float]) -> dict[Head, Float[Tensor, "direction"]]:
    """A factor a direction, for the heads that are named; InputError where one is named twice, or a factor is none."""
    named = [(part, name) for name in factors for part in find_parts(tower, name)]
    found: dict[Head, Tensor] = {}
    for part, name in named:
        own, factor = found.setdefault(part.place, torch.full((tower.head_width,), torch.nan)), float(factors[name])
        if not torch.isfinite(torch.tensor(factor)):
            raise InputError(f"factor: expected a finite number for {name}, got {factor}")
        chosen = list(part.directions or range(tower.head_width))
        if not own[chosen].isnan().all():
            raise InputError(f"factors: {part.name} is named twice; name it once")
        own[chosen] = factor
    return {place: own.nan_to_num(1.0) for place, own in found.items()}


def find_operators(
    tower: Tower, factors: Mapping[Head, Float[Tensor, "direction"]]
) -> dict[Head, Float[Tensor, "width width"]]:
    """E of every named head, float64: z E has its directions scaled by their factors; exactly I where all are 1."""
    layers = sorted({layer for layer, _ in factors})
    if not layers:
        return {}
    table = torch.ones(len(layers), tower.heads, tower.head_width, dtype=torch.float64)
    for (layer, head), own in factors.items():
        table[layers.index(layer), head] = own
    found = Directions.of(tower, layers).operators(table)
    return {(layer, head): found[layers.index(layer), head] for layer, head in factors}


def find_projectors(tower: Tower, parts: Iterable[Part]) -> dict[Head, Float[Tensor, "width width"]]:
    """P of heads of which directions are named, float64: z P is what of z lies along these; none for whole heads."""
    factors = {part.place: _cut(part, tower.head_width) for part in parts if part.directions}
    return {place: torch.eye(len(kept)).to(kept) - kept for place, kept in find_operators(tower, factors).items()}


def _cut(part: Part, width: int) -> Float[Tensor, "direction"]:
    """0 for the directions, 1 for the others."""
    factors = torch.ones(width)
    factors[list(part.directions)] = 0
    return factors


@dataclass(frozen=True)
class LayerCut:
    """What is cut in one layer."""

    heads: list[int] = field(default_factory=list)
    """Whole heads."""
    projectors: dict[int, Float[Tensor, "width width"]] = field(default_factory=dict)
    """Head -> what is taken of it."""

    @classmethod
    def of(cls, tower: Tower, parts: Parts) -> dict[int, LayerCut]:
        """Layer -> what is cut there, by layer."""
        found: dict[int, LayerCut] = {}
        chosen = find_parts(tower, parts)
        projectors = find_projectors(tower, chosen)
        for part in chosen:
            own = found.setdefault(part.layer, cls())
            if part.directions:
                own.projectors[part.head] = projectors[part.place]
            else:
                own.heads.append(part.head)
        return found

    def replace(
        self, z: Float[Tensor, "image token head width"], other: Float[Tensor, "... others head width"]
    ) -> Float[Tensor, "image token head width"]:
        """z with `other` in place of what is cut, at the tokens that both have."""
        tokens = min(z.shape[1], other.shape[-3])
        other, new = other[..., :tokens, :, :], z.clone()
        new[:, :tokens, self.heads] = other[..., self.heads, :]
        for head, projector in self.projectors.items():
            own = z[:, :tokens, head]
            new[:, :tokens, head] = own + (other[..., head, :] - own) @ projector.to(z)
        return new
