"""A planted cue: two classes of items, each mostly on a background of its own, as waterbirds are on water.

Items let a little of the background through, so that they are harder to tell than the background is. In the split
"train" nine of ten items stand on their class's background; "val" and "test" have as many of either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from headroles.errors import InputError
from headroles.shapes.compositions import (
    ITEMS,
    draw_clutter,
    draw_faint,
    draw_hidden,
    draw_hollow,
    draw_tiny,
    draw_turned,
)
from headroles.shapes.items import parts_of
from headroles.shapes.render import COLORS as _COLORS
from headroles.shapes.render import EXPOSURES, Item, Picture, draw_background, draw_noise, paint, vary_color
from headroles.shapes.world import CONCEPTS

SIZES = {"train": 60, "val": 40, "test": 200}
"""Split -> pictures of each class."""
BIAS = 0.9
"""Share of a class's training pictures on the class's own background."""
_SPLITS = tuple(SIZES)
_STREAM = 7
_HARDER = {
    "clutter": draw_clutter, "faint": draw_faint,
    "hidden": draw_hidden, "hollow": draw_hollow, "tiny": draw_tiny, "turned": draw_turned,
}  # fmt: skip
LOOKS = ("see-through", *_HARDER)
"""How items are drawn: letting a fifth of the background through, or as the built-in tasks of these names."""
_PATTERN = re.compile(r"(?P<pairs>[a-z]+\+[a-z]+,[a-z]+\+[a-z]+)(?:@(?P<look>[a-z-]+))?")


@dataclass(frozen=True)
class CueTask:
    """Two items, two backgrounds, and how the items look."""

    items: tuple[str, str] = ("boat", "car")
    """The classes."""
    backgrounds: tuple[str, str] = ("grass", "sand")
    """The background that each class is mostly on in training."""
    look: str = "see-through"
    """One of `LOOKS`."""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("items", self.items, ITEMS), ("backgrounds", self.backgrounds, CONCEPTS["background"]),
        ):  # fmt: skip
            wrong = [each for each in given if each not in known]
            if wrong or len(set(given)) != 2:
                raise InputError(f"task: {name} must be two of {', '.join(known)}, got {' and '.join(given)}")
        if self.look not in LOOKS:
            raise InputError(f"task: items look {', '.join(LOOKS)}, got {self.look!r}")

    @property
    def name(self) -> str:
        """As `parse_cue` reads it."""
        pairs = ",".join(map("+".join, zip(self.items, self.backgrounds, strict=True)))
        return f"{pairs}@{self.look}"


@dataclass(frozen=True)
class CuePicture:
    """Which picture it is."""

    split: str
    number: int
    label: int
    """Class."""
    place: int
    """Background."""


def parse_cue(text: str) -> CueTask:
    """A task written as "boat+grass,car+sand" or "boat+grass,car+sand@hidden"; "" is the default one."""
    if not text:
        return CueTask()
    match = _PATTERN.fullmatch(text)
    if not match:
        raise InputError(f"task: {text!r} is no cue; write such as boat+grass,car+sand or boat+grass,car+sand@hidden")
    items, backgrounds = zip(*(pair.split("+") for pair in match["pairs"].split(",")), strict=True)
    return CueTask(items, backgrounds, match["look"] or "see-through")


def list_pictures() -> tuple[CuePicture, ...]:
    """All pictures of a task, split by split; training ones follow the cue by `BIAS`, the others not at all."""
    found = []
    for split, size in SIZES.items():
        own = round(BIAS * size) if split == "train" else size // 2
        for label in (0, 1):
            found += [CuePicture(split, number, label, label if number < own else 1 - label) for number in range(size)]
    return tuple(found)


def render_cue(task: CueTask, picture: CuePicture, seed: int = 0) -> np.ndarray:
    """uint8 (64, 64, 3); every picture of a task and seed has a random stream of its own."""
    stream = [seed, _SPLITS.index(picture.split), picture.number, picture.label, picture.place, _STREAM]
    rng = np.random.default_rng(stream)
    item, background = task.items[picture.label], draw_background(task.backgrounds[picture.place], rng)
    items = _HARDER[task.look](rng, item).items if task.look in _HARDER else (_see_through(rng, item),)
    exposure = EXPOSURES["bright"] * rng.uniform(0.95, 1.05)
    return paint(Picture(background, items, exposure, draw_noise(rng)))[0]


def _see_through(rng: np.random.Generator, item: str) -> Item:
    """An item of any color that a fifth of the background shines through."""
    x, y = rng.integers(22, 43, 2)
    color = vary_color(_COLORS[str(rng.choice(list(_COLORS)))], rng)
    diameter, angle = rng.uniform(24, 34), rng.uniform(-0.16, 0.16)
    return Item(parts_of(item), ((int(x), int(y)),), diameter, angle, color, opacity=rng.uniform(0.72, 0.88))
