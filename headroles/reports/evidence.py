"""What a report shows of heads at work, as plain values. Needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """An image on which a head adds much to its own first text."""

    picture: str
    """Key in `Illustrations.pictures`."""
    contribution: float
    """The head's part of the cosine of image and text."""
    patches: tuple[float, ...]
    """What each patch adds to it, row by row; with CLS's own part they sum to `contribution`."""


@dataclass(frozen=True)
class Match:
    """A neighbour."""

    picture: str
    """Key in `Illustrations.pictures`."""
    score: float
    """Cosine with the query."""
    value: str | None
    """Its value of the concept that was searched by; None where it is not labelled."""


@dataclass(frozen=True)
class Search:
    """The neighbours of one query by one concept's heads, beside those by the whole embedding."""

    query: str
    """Key in `Illustrations.pictures`."""
    concept: str
    """Whose Attribute heads search."""
    value: str | None
    """The query's value of it; None where it is not labelled."""
    by_heads: tuple[Match, ...]
    """By the heads, best first."""
    by_embedding: tuple[Match, ...]
    """By the whole embedding, best first."""


@dataclass(frozen=True)
class SharedValues:
    """Share of the first 10 neighbours with the query's value of a concept, mean over images, with 95% intervals."""

    concept: str
    """The concept."""
    heads: tuple[str, ...]
    """Its Attribute heads."""
    by_heads: float
    """Share among the neighbours by these heads."""
    by_heads_interval: tuple[float, float]
    """Its interval."""
    by_embedding: float
    """Share among the neighbours by the whole embedding."""
    by_embedding_interval: tuple[float, float]
    """Its interval."""
    chance: float
    """Of neighbours drawn at random."""
    images: int
    """Labelled images, each a query once."""


@dataclass(frozen=True)
class Illustrations:
    """Pictures, and what is to be seen on them."""

    source: str
    """The images' name."""
    count: int
    """Images looked through."""
    names: Mapping[str, str]
    """Key of a picture -> the image's name."""
    pictures: Mapping[str, str]
    """Key -> JPEG in base64, as the model saw it."""
    side: int
    """Patches a side of a picture."""
    examples: Mapping[str, tuple[Example, ...]]
    """Head -> images on which it adds most to its first text."""
    searches: tuple[Search, ...]
    """Query by query, concept by concept."""
    precision: tuple[SharedValues, ...]
    """One for every labelled concept with Attribute heads."""
