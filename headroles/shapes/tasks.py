"""Built-in tasks of the shapes world: classes whose words the bundled model knows, in pictures that it does not.

In every task the first half of the classes is the base half, the rest the novel half. Besides, every concept of the
world is a task of its own, on ordinary scenes: what the model knows already, to measure whether it still does.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from headroles.checks import near
from headroles.errors import InputError
from headroles.shapes import compositions
from headroles.shapes.captions import plural, words_of
from headroles.shapes.render import Picture, paint, picture_of
from headroles.shapes.shifts import SHIFTS
from headroles.shapes.signs import FABRICS, SIGNS
from headroles.shapes.world import CONCEPTS, NAMES, sample_scene

POOL = {"train": 40, "val": 25, "test": 50}
"""Split -> pictures of each class."""

_SPLITS = tuple(POOL)
_STREAM, _SHIFT_STREAM = 1, 2

Values = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ShapesTask:
    """A task of rendered pictures."""

    summary: str
    """One line for lists."""
    template: str
    """Prompt with {} for the class name."""
    classes: tuple[str, ...]
    """Class names, the base half first."""
    values: Values
    """What `draw` gets for each class."""
    draw: compositions.Draw
    """(rng, *values) -> picture."""
    shows: frozenset[str]
    """Concepts that the classes differ in; "item" is shape and object."""
    augment: bool = True
    """Whether cropping and mirroring leave the class as it is."""
    stream: str = ""
    """Word that seeds the pictures, where it is not the task's name: a task that is renamed keeps them."""

    @property
    def shifts(self) -> tuple[str, ...]:
        """The shifts that leave the classes recognisable."""
        return tuple(name for name, shift in SHIFTS.items() if not shift.hides & self.shows)


@lru_cache(4096)  # 50 MB: every epoch, and every method, opens the same pictures again.
def render_example(name: str, split: str, index: int, shift: str | None = None) -> np.ndarray:
    """Picture `index` of a task's split, read-only uint8 (64, 64, 3); its class is `index % len(classes)`.

    Every (task, split, index) has a random stream of its own; a shift renders the same picture otherwise.
    """
    task = find_task(name)
    stream = [zlib.crc32((task.stream or name).encode()), _SPLITS.index(split), index]
    picture = task.draw(np.random.default_rng([*stream, _STREAM]), *task.values[index % len(task.classes)])
    if shift is None:
        pixels = paint(picture)[0]
    else:
        pixels = SHIFTS[shift].render(picture, np.random.default_rng([*stream, _SHIFT_STREAM]))
    pixels.flags.writeable = False
    return pixels


def find_task(name: str, shift: str | None = None) -> ShapesTask:
    """The built-in task; refuses unknown names, and shifts that hide what the task's classes differ in."""
    if name not in TASKS:
        known = ", ".join(TASKS) + near(f"shapes:{name}", [f"shapes:{task}" for task in TASKS])
        raise InputError(f"task: there is no built-in task shapes:{name}; there are {known}")
    task = TASKS[name]
    if shift is not None and shift not in task.shifts:
        hidden = ", ".join(sorted(SHIFTS[shift].hides & task.shows)) if shift in SHIFTS else ""
        why = f"hides the {hidden} of" if hidden else "is no shift for"
        raise InputError(f"task: {shift or 'nothing'} {why} shapes:{name}; use one of {', '.join(task.shifts)}")
    return task


def _draw_scene(rng: np.random.Generator, concept: str, value: str) -> Picture:
    """An ordinary scene of the world with this value."""
    column, label = NAMES.index(concept), CONCEPTS[concept].index(value)
    seed = int(rng.integers(2**31, 2**32))
    scenes = (sample_scene(seed, attempt) for attempt in itertools.count())
    return picture_of(next(scene for scene in scenes if scene.labels[column] == label))


def _concept_task(concept: str, template: str, augment: bool) -> ShapesTask:
    values = CONCEPTS[concept]
    classes = tuple(words_of(concept, value)[0] for value in values)
    if concept == "count":
        classes = tuple(f"{value} item" if value == "one" else f"{value} items" for value in values)
    shows = "item" if concept in ("shape", "object") else concept
    return ShapesTask(
        f"ordinary scenes by {concept}: known already", template, classes,
        tuple((concept, value) for value in values), _draw_scene, frozenset({shows}), augment,
    )  # fmt: skip


def _task(
    summary: str, template: str, wording: str | Callable[..., str], values: list[tuple[str, ...]],
    draw: compositions.Draw, shows: str, augment: bool = True,
) -> ShapesTask:  # fmt: skip
    name = wording.format if isinstance(wording, str) else wording
    classes = tuple(name(*value) for value in values)
    return ShapesTask(summary, template, classes, tuple(values), draw, frozenset(shows.split()), augment)


def _pairs(*halves: tuple[tuple[str, ...], tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [pair for half in halves for pair in itertools.product(*half)]


def _orders(*groups: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [pair for group in groups for pair in itertools.permutations(group, 2)]


_PHOTO = "a photo of a {}"
_BASE_ITEMS = ("circle", "square", "triangle", "star", "house", "tree", "fish", "car")
_ITEMS: list[tuple[str, ...]] = [
    (item,) for item in (*_BASE_ITEMS, *(item for item in compositions.ITEMS if item not in _BASE_ITEMS))
]
_items = partial(_task, template=_PHOTO, wording="{}", values=_ITEMS, shows="item")
_TINTED = _pairs((("red", "orange", "yellow", "pink"), ("square", "tree")),
                 (("green", "cyan", "blue", "purple"), ("star", "fish")))  # fmt: skip
_COLORED = _pairs((("red", "yellow", "cyan", "purple"), ("square", "tree")),
                  (("orange", "green", "blue", "pink"), ("star", "fish")))  # fmt: skip
_CORNERS = ("in the top left", "in the top right", "in the bottom left", "in the bottom right")
_EDGES = ("at the top", "on the left", "on the right", "at the bottom")
_PLACED = _pairs((("star", "house"), _CORNERS), (("heart", "car"), _EDGES))
_COUNTED = _pairs((CONCEPTS["count"], ("square", "tree")), (CONCEPTS["count"], ("star", "fish")))
_PATTERNS = CONCEPTS["texture"][1:]
_WOVEN = _pairs((_PATTERNS, ("grass", "sand")), (_PATTERNS, ("brick", "snow")))


def _count_words(count: str, item: str) -> str:
    return f"{count} {item if count == 'one' else plural(item)}"


def _woven_words(texture: str, background: str) -> str:
    return f"{texture} item {words_of('background', background)[0]}"


TASKS: dict[str, ShapesTask] = {
    "turned": _items("items turned far from upright", draw=compositions.draw_turned),
    "hollow": _items("contours of items, faintly filled", draw=compositions.draw_hollow),
    "tiny": _items("items a sixth of the picture wide", draw=compositions.draw_tiny, augment=False),
    "faint": _items("items that the background shines through", draw=compositions.draw_faint),
    "hidden": _items("items behind a bar", draw=compositions.draw_hidden),
    "clutter": _items("a big item among small ones", draw=compositions.draw_clutter),
    "rare": _task(
        "color-item pairs, half of them never seen, among small items of the other pairing", "a photo of a large {}",
        "{} {}", _pairs(*((colors, items) for items, colors in compositions.RIVALS)), compositions.draw_rare,
        "color item",
    ),
    "order": _task(
        "which color is left, which is right", "a {}", "{} item on the left {} item on the right",
        _orders(("red", "green", "blue"), ("orange", "purple", "cyan")), compositions.draw_order, "color position",
        augment=False,
    ),
    "stack": _task(
        "which item is above, which below", "a {}", "{} at the top {} at the bottom",
        _orders(("circle", "star", "house"), ("heart", "cross", "car")), compositions.draw_stack, "item position",
        augment=False,
    ),
    "weave": _task(
        "texture and background, the texture scaled and turned", "a {}", _woven_words, _WOVEN, compositions.draw_weave,
        "texture background",
    ),
    "crowd": _task(
        "how many of what, in uneven sizes and colors", "a photo of {}", _count_words, _COUNTED,
        compositions.draw_crowd, "count item", augment=False,
    ),
    "place": _task(
        "where is what, off the world's grid and among small items", "a {}", "{} {}", _PLACED, compositions.draw_place,
        "item position", augment=False,
    ),
    "lamp": _task("colored items in colored light", _PHOTO, "{} {}", _TINTED, compositions.draw_lamp, "color item"),
    "pastel": _task("items in pale colors", _PHOTO, "{} {}", _COLORED, compositions.draw_pastel, "color item"),
    "signs": _task(
        "new shapes with new words: to be learned by example", _PHOTO, "{}", [(sign,) for sign in SIGNS],
        compositions.draw_sign, "item",
    ),
    "cloth": _task(
        "new textures with new words: to be learned by example", "a {} item", "{}", [(name,) for name in FABRICS],
        compositions.draw_cloth, "texture",
    ),
    "color": _concept_task("color", "a {} item", True),
    "shape": _concept_task("shape", _PHOTO, True),
    "texture": _concept_task("texture", "a {} item", True),
    "object": _concept_task("object", _PHOTO, True),
    "position": replace(_concept_task("position", "something {}", False), stream="location"),
    "size": _concept_task("size", "a {} item", False),
    "count": _concept_task("count", "a picture of {}", False),
    "background": _concept_task("background", "something {}", True),
    "brightness": _concept_task("brightness", "something {}", True),
}  # fmt: skip
"""Name -> task; the last nine are the world's own concepts."""

RETENTION: tuple[str, ...] = NAMES
"""The tasks that the bundled model knows already."""
