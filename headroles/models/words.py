"""Words: the CLIP whose texts a vision tower without texts of its own is read with. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from headroles.files.ranges import Amount, Hash, Size, Within

JOINT = " + "
"""Between the names of a vision tower and of the CLIP whose words it is given: "llava-1.5/ + ViT-L/14@336"."""


@dataclass(frozen=True)
class Fit:
    """How well a linear map takes a vision tower's embeddings to a CLIP's, on images that it was not learned on."""

    images: str
    """What it was learned on, as the role map calls images."""
    count: Size
    """Images that it was learned from."""
    chosen_on: Size
    """Other images, on which the ridge was chosen."""
    judged_on: Size
    """Still others, on which the next three are."""
    ridge: Amount
    """Penalty on squared weights, as a share of the mean variance of the tower's embedding."""
    r2: Annotated[float, Within(None, 1)]
    """1 - squared error over squared distance from the mean, of unit embeddings; 0: the mean says as much."""
    cosine: Annotated[float, Within(-1, 1, room=1e-6)]
    """Mean cosine with the CLIP's own embedding."""
    mean_cosine: Annotated[float, Within(-1, 1, room=1e-6)]
    """The same of the mean embedding alone: CLIP's embeddings lie close together."""


@dataclass(frozen=True)
class Words:
    """Where a vision tower has its words from."""

    model: str
    """The CLIP, as given to `load`."""
    weights_hash: Hash
    """sha256 over all its loaded weights."""
    difference: Amount | None = None
    """Norm of (tower's weights - that CLIP's) over that CLIP's; None where the tower does not come from it."""
    fit: Fit | None = None
    """The learned map between the embeddings; None where the tower comes from that CLIP."""

    def describe(self) -> str:
        """In one line."""
        if self.fit is None:
            return f"texts of {self.model}, whose vision weights differ by {self.difference or 0:.2%}"
        return (
            f"texts of {self.model}, by a linear map learned from {self.fit.count:,} images of {self.fit.images}: "
            f"held-out R2 {self.fit.r2:.2f}, cosine {self.fit.cosine:.2f} (the mean alone {self.fit.mean_cosine:.2f})"
        )


def join_names(vision: str, words: str | None) -> str:
    """One name that says all that `load` needs."""
    return vision if words is None else f"{vision}{JOINT}{words}"


def split_names(name: str) -> tuple[str, str | None]:
    """The opposite of `join_names`."""
    vision, joint, words = name.rpartition(JOINT)
    return (vision, words) if joint else (name, None)
