"""What a report shows of heads at work, as plain values. Needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """An image, and what a head adds on it to one of its texts."""

    picture: str
    """Key in `Illustrations.pictures`."""
    contribution: float
    """The head's part of the cosine of image and text."""
    patches: tuple[float, ...] = ()
    """What each patch adds to it, row by row; with CLS's own part they sum to `contribution`. None where it is of
    another text than the first, or the page has no more room."""


@dataclass(frozen=True)
class Histogram:
    """How often a head adds how much to its first text, over all images."""

    low: float
    """The least, where the first bin begins."""
    high: float
    """The most, where the last bin ends."""
    counts: tuple[int, ...]
    """Images in each of the bins, which are of one width."""


@dataclass(frozen=True)
class NearestImages:
    """The images on which a head adds most to one of its texts."""

    text: str
    """The text."""
    images: tuple[Example, ...]
    """Best first."""


@dataclass(frozen=True)
class HeadExamples:
    """What a head adds to its texts: on which images most and least, and on how many how much."""

    top: tuple[Example, ...]
    """Those on which it adds most to its first text, best first."""
    bottom: tuple[Example, ...]
    """Those on which it adds least, least first."""
    drawn: tuple[Example, ...]
    """Images drawn at random, the same for every head."""
    histogram: Histogram
    """Over all images."""
    later: tuple[NearestImages, ...] = ()
    """Of its next texts."""


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
    examples: Mapping[str, HeadExamples]
    """Head -> what it adds to its texts."""
    searches: tuple[Search, ...]
    """Query by query, concept by concept."""
    precision: tuple[SharedValues, ...]
    """One for every labelled concept with Attribute heads."""
