"""Zero-shot answers of an image, with all heads and with some cut or scaled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.explore.gallery import Gallery
from headroles.heads.ablate import Ablator
from headroles.heads.names import Head
from headroles.heads.reference import HeadReference
from headroles.models.hooked_clip import HookedCLIP

STAND_INS = ("zero", "mean")
"""What stands in for a head: nothing, or its mean over the gallery's images."""


class Cutting:
    """Runs the model without heads. The means of heads are collected when they are first asked for."""

    def __init__(self, model: HookedCLIP, gallery: Gallery) -> None:
        self.model, self.gallery = model, gallery
        self._ablators: dict[tuple[str, str], Ablator] = {}
        self._reference: HeadReference | None = None

    def embed(self, row: int, heads: Sequence[Head], scale: float, mode: str, effect: str) -> Float[Tensor, "embed"]:
        """The unit embedding of an image with these heads scaled about what stands in for them."""
        pixels = self.gallery.pixels(row)[None]
        if not heads or scale == 1:
            return self.model.embed_images(pixels)[0]
        with self._ablator(mode, effect).cutting(heads, scale):
            return self.model.embed_images(pixels)[0]

    def _ablator(self, mode: str, effect: str) -> Ablator:
        if (mode, effect) not in self._ablators:
            reference = None if mode == "zero" else self._means()
            self._ablators[mode, effect] = Ablator(self.model, mode, effect, reference)
        return self._ablators[mode, effect]

    def _means(self) -> HeadReference:
        if self._reference is None:
            visual = self.model.visual
            layers = [layer for layer in self.gallery.layers if layer < visual.layers]
            if len(layers) < len(self.gallery.layers):
                raise InputError("mode: the pooling layer's heads have no mean here; expected mode zero")
            self._reference = HeadReference.collect(self.model, self.gallery.images.images, layers, pool=0)
        return self._reference


@torch.inference_mode()
def tell_classes(
    model: HookedCLIP, embedding: Float[Tensor, "embed"], classes: Float[Tensor, "class embed"]
) -> dict[str, list[float]]:
    """The cosine with every class, and its probability: the softmax of the cosines times the model's scale."""
    cosines = classes @ embedding
    return {"cosine": cosines.tolist(), "probability": (model.logit_scale * cosines).softmax(-1).tolist()}
