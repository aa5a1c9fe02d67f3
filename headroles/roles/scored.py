"""What a role map was scored from: model, images, bank. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from headroles.files.ranges import Count, Hash, Size, Written


@dataclass(frozen=True)
class ModelInfo:
    """The scored model."""

    name: str
    """As given to `load`."""
    weights_hash: Hash
    """sha256 over the loaded weights."""
    layers: Size
    """Layers of the scored tower. SigLIP's attention pooling counts as one more: heads of layer `layers` are its."""
    heads: Size
    """Heads of a layer."""


@dataclass(frozen=True)
class ImagesInfo:
    """The images that went in; into a text tower, texts."""

    source: str
    """"shapes" or the folder's name; of a text tower, the name of the texts."""
    count: Count
    """How many were read; 0 by weights."""
    broken: tuple[str, ...]
    """Files that could not be read, relative to the folder."""
    sketch: Annotated[str, Written()] = ""
    """Their fingerprints (`headroles.files.sketch`), so that no image judges heads that it chose; "" where no such
    thing is to be feared."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How they were read, as `headroles.Reading.to_dict` says it."""


@dataclass(frozen=True)
class BankInfo:
    """The probe bank, or the labels of the images."""

    name: str
    """Name or file name."""
    hash: Hash
    """sha256 of texts and labels; image probes: of concepts, values and how many images have each."""
    counts: Mapping[str, Size]
    """Texts, or labelled images, of every concept."""
