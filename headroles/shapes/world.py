"""The shapes world: which concepts exist, which scenes can be, and which are held out.

A scene shows one to four copies of one item. The item is either a plain shape or a composite object, so a
scene has eight concepts: `shape` and `object` exclude each other, and `position` exists for single items only.
An absent concept is labelled -1. All concepts are drawn independently and uniformly; the one exception is the
hold-out, a Latin pattern over (color, item) pairs in which every item misses exactly one color and every color
exactly two items, so the marginals of the training scenes stay uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONCEPTS: dict[str, tuple[str, ...]] = {
    "color": ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"),
    "shape": ("circle", "square", "triangle", "star", "heart", "cross", "ring", "crescent"),
    "texture": ("solid", "striped", "dotted", "checkered", "speckled"),
    "object": ("house", "tree", "fish", "car", "boat", "flower", "mushroom", "cup"),
    "position": (
        "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right",
    ),
    "size": ("small", "medium", "large"),
    "count": ("one", "two", "three", "four"),
    "background": ("sky", "night", "grass", "sand", "brick", "snow"),
    "brightness": ("bright", "dim", "dark"),
}  # fmt: skip
"""Concept name -> its values, in label order."""

NAMES: tuple[str, ...] = tuple(CONCEPTS)
ABSENT = -1
"""In place of a value's index, where a concept does not apply or an image is not labelled with it."""
SPLITS = ("train", "held-out", "all")

_COLOR, _SHAPE, _OBJECT, _POSITION, _COUNT = (
    NAMES.index(name) for name in ("color", "shape", "object", "position", "count")
)
_COLORS = len(CONCEPTS["color"])
_SHAPES = len(CONCEPTS["shape"])


@dataclass(frozen=True)
class Scene:
    """One scene: what it shows and the random stream that fixes all the rest (jitter, noise)."""

    labels: tuple[int, ...]
    """Value index of every concept in the order of `NAMES`; -1 where a concept does not apply."""
    stream: tuple[int, int]
    """(seed, index): the scene's own random stream; equal streams give equal pixels."""

    def value(self, concept: str) -> str | None:
        """The name of the scene's value for `concept`, None where the concept does not apply."""
        label = self.labels[NAMES.index(concept)]
        return None if label == ABSENT else CONCEPTS[concept][label]


def is_held_out(color: int, item: int) -> bool:
    """Whether training never shows this pair; `item` counts shapes first, then objects."""
    return (color + item) % _COLORS == 0


def sample_scene(seed: int, index: int, split: str = "all") -> Scene:
    """Scene number `index` of the endless sequence of `seed`.

    `split`: "train" leaves the held-out (color, item) pairs out, "held-out" has only those, "all" has both.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    rng = np.random.default_rng([seed, index, 0])
    labels = [int(rng.integers(len(values))) for values in CONCEPTS.values()]
    item = int(rng.integers(_SHAPES + len(CONCEPTS["object"])))
    if split == "held-out":
        labels[_COLOR] = -item % _COLORS
    elif split == "train" and is_held_out(labels[_COLOR], item):
        labels[_COLOR] = (labels[_COLOR] + int(rng.integers(1, _COLORS))) % _COLORS
    labels[_SHAPE] = item if item < _SHAPES else ABSENT
    labels[_OBJECT] = item - _SHAPES if item >= _SHAPES else ABSENT
    if rng.random() < 0.5:
        labels[_COUNT] = 0
    if labels[_COUNT] > 0:
        labels[_POSITION] = ABSENT
    return Scene(tuple(labels), (seed, index))
