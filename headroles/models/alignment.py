"""AlignedMap: a learned linear map from a vision tower's embedding to a CLIP's, as a folder that `load` opens."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Hash
from headroles.files.tensors import read_hashed, write_hashed
from headroles.files.whole import replacing_together
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.joining import check_parts, join
from headroles.models.words import Words

if TYPE_CHECKING:
    import pandas as pd

FACTS, TENSORS = "alignment.json", "alignment.safetensors"
_AGAIN = "score again with --align-to"


@dataclass(frozen=True)
class Alignment(Document):
    """Between which models a map was learned, on what, and how well it does."""

    called, made_by, file_name = "alignment", "headroles score --align-to", FACTS

    vision: str
    """The vision tower, as given to `load`."""
    vision_hash: Hash
    """sha256 over its loaded weights."""
    words: Words
    """The CLIP, and the map's fidelity."""
    images_hash: Hash
    """Fingerprint of the images that it was learned on."""
    format: str = "headroles.alignment"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    def to_frame(self) -> pd.DataFrame:
        """One row: the two models and the fidelity."""
        import dataclasses

        import pandas as pd

        fit = {} if self.words.fit is None else dataclasses.asdict(self.words.fit)
        return pd.DataFrame([{"vision": self.vision, "clip": self.words.model, **fit}])


@dataclass(frozen=True)
class AlignedMap:
    """The map itself: embedding of the tower @ weight' + bias is near the CLIP's unit embedding."""

    facts: Alignment
    """Where it comes from."""
    weight: Float[Tensor, "embed width"]
    """float64."""
    bias: Float[Tensor, "embed"]
    """float64."""

    def join(self, vision: HookedCLIP, clip: HookedCLIP, name: str | None = None) -> HookedCLIP:
        """The vision tower with this map behind it and the CLIP's texts; InputError for other models' weights."""
        for model, hash in ((vision, self.facts.vision_hash), (clip, self.facts.words.weights_hash)):
            if model.weights_hash() != hash:
                raise InputError(
                    f"align-to: the map was learned with other weights than those of {model.model_name}; {_AGAIN}"
                )
        name = name or f"{vision.model_name} aligned to {clip.model_name}"
        return join(vision, clip, self._linear(vision), self.facts.words, name)

    def save(self, folder: str | os.PathLike) -> None:
        """Write alignment.json and alignment.safetensors, together or not at all."""
        with replacing_together(folder, FACTS) as staging:
            write_hashed(staging / TENSORS, {"weight": self.weight, "bias": self.bias}, {"facts": self._key()})
            self.facts.save(staging / FACTS)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> AlignedMap:
        """Read what `save` wrote; InputError where a file is missing, damaged or another map's."""
        facts = Alignment.load(folder)
        tensors, metadata = read_hashed(Path(folder) / TENSORS, "model", _AGAIN)
        found = cls(facts, tensors["weight"], tensors["bias"])
        if metadata.get("facts") != found._key():
            raise InputError(f"model: {folder} holds the facts of one alignment and the map of another; {_AGAIN}")
        return found

    def _key(self) -> str:
        return f"{self.facts.vision_hash} {self.facts.words.weights_hash} {self.facts.images_hash}"

    def _linear(self, vision: HookedCLIP) -> nn.Linear:
        embed, width = self.weight.shape
        linear = nn.Linear(width, embed, device=vision.device, dtype=vision.dtype)
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(self.bias)
        return linear.requires_grad_(False)


def check_alignable(vision: HookedCLIP, clip: HookedCLIP) -> None:
    """InputError where a learned map has no place: texts of its own, none to learn, a readout of its own."""
    check_parts(vision, clip, "align-to")
    if vision.visual.pooling or vision.visual._projection is not None:
        raise InputError(
            f"align-to: {vision.model_name} has an embedding of a CLIP's already; give that CLIP as --texts-from"
        )
