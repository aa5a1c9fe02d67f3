"""Directions of heads on stored contributions: what of a head's u lies along them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from jaxtyping import Float
from numpy import ndarray

from headroles.errors import InputError
from headroles.heads.names import Part

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

Projectors: TypeAlias = "Mapping[tuple[int, int], Float[ndarray, 'width width']]"
"""(row of an index's layers, head) -> P: u P is what of a head's u lies along the directions that are meant."""


def project_parts(model: HookedCLIP, layers: Sequence[int], parts: Iterable[Part]) -> Projectors:
    """Of parts that are directions; whole heads need none. `layers`: those of the index.

    Raises InputError for heads whose outputs attention pools: their directions reach the embedding by where it looks.
    """
    from headroles.heads.parts import find_parts, find_projectors  # A search by whole heads needs no torch.

    tower = model.visual
    split = [part for part in find_parts(tower, parts) if part.directions]
    pooled = next((part for part in split if tower.pooling and part.layer < tower.layers), None)
    if pooled:
        raise InputError(
            f"heads: attention pools what {pooled.name} writes over all tokens, so stored contributions cannot be "
            "split by its directions; take the whole head, or one of the pooling layer, or --ablate"
        )
    width = tower.moment_width
    found = {}
    for (layer, head), projector in find_projectors(tower, split).items():
        room = width - len(projector)
        padded = projector.new_zeros(width, width)
        padded[: width - room, : width - room] = projector
        found[layers.index(layer), head] = padded.cpu().numpy()
    return found
