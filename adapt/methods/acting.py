"""Where a method's trained tensors act: at which layers of which tower, whole or row by row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Side = Literal["visual", "text"]
"""A tower, as hook points name it."""
VISION: Literal["visual"] = "visual"
TEXT: Literal["text"] = "text"


@dataclass(frozen=True)
class Acting:
    """Where one trained tensor acts."""

    tower: Side
    """The tower."""
    layers: tuple[int, ...]
    """Its layers, from 0."""
    rows: Literal["alike", "layers", "attributes"] = "alike"
    """All rows act at all layers; or each at one, its place's in `layers`; or each is an attribute's token."""

    @classmethod
    def vision(cls, layers: int | Iterable[int], rows: Literal["alike", "layers", "attributes"] = "alike") -> Acting:
        """In the vision tower."""
        return cls(VISION, _several(layers), rows)

    @classmethod
    def text(cls, layers: int | Iterable[int], rows: Literal["alike", "layers", "attributes"] = "alike") -> Acting:
        """In the text tower."""
        return cls(TEXT, _several(layers), rows)


def _several(layers: int | Iterable[int]) -> tuple[int, ...]:
    return (layers,) if isinstance(layers, int) else tuple(layers)


def numbered(
    names: Iterable[str], prefix: str, tower: Side, first: int = 0
) -> dict[str, Acting]:
    """Of tensors named PREFIX.N or PREFIX.N.more: N counts layers of the tower, from `first` on."""
    within = (name for name in names if name.startswith(f"{prefix}."))
    return {name: Acting(tower, (first + int(name[len(prefix) + 1 :].partition(".")[0]),)) for name in within}
