"""Words for scenes: captions that name any subset of a scene's concepts, in varied wording."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from headroles.shapes.world import ABSENT, CONCEPTS, NAMES

_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "color": {},
    "shape": {
        "circle": ("circle", "disc"), "ring": ("ring", "loop"), "crescent": ("crescent", "moon"),
        "cross": ("cross", "plus sign"), "star": ("star",),
    },
    "texture": {
        "solid": ("solid", "plain"), "striped": ("striped", "stripy"), "dotted": ("dotted", "spotted"),
        "checkered": ("checkered", "checked"), "speckled": ("speckled", "grainy"),
    },
    "object": {
        "house": ("house", "cottage"), "tree": ("tree", "pine"), "car": ("car", "automobile"),
        "boat": ("boat", "sailboat"), "cup": ("cup", "mug"), "flower": ("flower", "blossom"),
        "mushroom": ("mushroom", "toadstool"),
    },
    "position": {
        "top left": ("in the top left", "in the upper left corner"), "top": ("at the top", "along the upper edge"),
        "top right": ("in the top right", "in the upper right corner"),
        "left": ("on the left", "on the left side"), "center": ("in the center", "in the middle"),
        "right": ("on the right", "on the right side"),
        "bottom left": ("in the bottom left", "in the lower left corner"),
        "bottom": ("at the bottom", "along the lower edge"),
        "bottom right": ("in the bottom right", "in the lower right corner"),
    },
    "size": {
        "small": ("small", "tiny", "little"), "medium": ("medium", "medium sized"), "large": ("large", "big", "huge"),
    },
    "count": {"one": ("one", "a single"), "two": ("two", "a pair of"), "three": ("three",), "four": ("four",)},
    "background": {
        "sky": ("in the sky", "against the open sky"), "night": ("at night", "under a starry night"),
        "grass": ("on grass", "on a meadow"), "sand": ("on sand", "on a sandy beach"),
        "brick": ("on a brick wall", "against bricks"), "snow": ("on snow", "on snowy ground"),
    },
    "brightness": {
        "bright": ("in bright light", "brightly lit"), "dim": ("in dim light", "dimly lit"),
        "dark": ("in the dark", "in deep shadow"),
    },
}  # fmt: skip

_FRAMES = ("", "", "a picture of ", "a photo of ", "an image of ", "a drawing of ", "there is ", "you see ")
_ANYTHING = ("an item", "something", "a thing")
_ADJECTIVES = ("size", "color", "texture")
_PHRASES = ("position", "background", "brightness")
_MORE = {
    "color": ("the color {}", "{} paint", "colored {}"),
    "shape": ("the shape of a {}", "a {} shape", "the outline of a {}"),
    "texture": ("a {} texture", "a {} surface", "a {} pattern"),
    "object": ("a toy {}", "the {}", "a kind of {}"),
    "position": ("placed {}", "located {}", "a thing that sits {}"),
    "size": ("a {} item", "of {} size", "something that looks {}"),
    "count": ("{} copy", "exactly {} piece", "there is {} object"),
    "background": ("a scene {}", "a place {}", "everything {}"),
    "brightness": ("a scene {}", "a photo taken {}", "everything {}"),
}


def words_of(concept: str, value: str) -> tuple[str, ...]:
    """The wordings of one concept value, the plainest first."""
    return _WORDS[concept].get(value, (value,))


def compose(labels: Iterable[int], rng: np.random.Generator) -> str:
    """A caption that names exactly the concepts whose label is not -1.

    "a" and "an" mean "at least one", as in everyday captions: only a number word names the count.
    """
    named = {
        concept: str(rng.choice(words_of(concept, CONCEPTS[concept][label])))
        for concept, label in zip(NAMES, labels, strict=True)
        if label != ABSENT
    }
    phrases = [named[concept] for concept in _PHRASES if concept in named]
    rng.shuffle(phrases)
    return " ".join([rng.choice(_FRAMES) + _subject(named, rng), *phrases])


def _subject(named: dict[str, str], rng: np.random.Generator) -> str:
    adjectives = [named[concept] for concept in _ADJECTIVES if concept in named]
    noun = named.get("shape") or named.get("object")
    count = named.get("count")
    if count is None and noun is None and not adjectives:
        return str(rng.choice(_ANYTHING))
    noun = noun or str(rng.choice(("item", "thing")))
    if count is None:
        words = " ".join([*adjectives, noun])
        return ("an " if words[0] in "aeiou" else "a ") + words
    single = count in _WORDS["count"]["one"]
    return " ".join([count, *adjectives, noun if single else plural(noun)])


def plural(noun: str) -> str:
    """The plural of a noun of this world."""
    if noun == "fish":
        return noun
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def caption(labels: tuple[int, ...], rng: np.random.Generator) -> tuple[str, tuple[int, ...]]:
    """A caption of a random non-empty subset of a scene's concepts, and the labels that it names."""
    present = [index for index, label in enumerate(labels) if label != ABSENT]
    size = int(rng.integers(1, len(present) + 1))
    kept = set(rng.permutation(present)[:size].tolist())
    named = tuple(label if index in kept else ABSENT for index, label in enumerate(labels))
    return compose(named, rng), named


def value_texts(concept: str, value: str) -> list[str]:
    """Short descriptions that name this one concept value and nothing else, the plainest first."""
    texts = []
    patterns: tuple[str, ...]
    for words in words_of(concept, value):
        if concept in ("shape", "object"):
            patterns = ("a {}", "a picture of a {}", "a photo of a {}")
        elif concept in _ADJECTIVES:
            patterns = ("a {} item", "a picture of a {} thing", "something {}")
        elif concept == "count":
            patterns = ("{} item", "a picture of {} thing")
        else:
            patterns = ("an item {}", "something {}", "a picture of a thing {}")
        for pattern in (*patterns, *_MORE[concept]):
            text = pattern.format(words)
            many = concept == "count" and value != "one"
            texts.append(plural(text).replace("there is", "there are") if many else text)
    return [text.replace("a orange", "an orange") for text in texts]
