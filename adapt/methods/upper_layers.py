"""The layers of both towers from the first that a method changes; what lies below is computed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.adapt.methods.branches import embed_from, run_texts
from headroles.adapt.methods.features import (
    ClassTrunk,
    TextTrunk,
    embed_classes,
    list_texts,
    pick_texts,
    residual_before,
    unit,
)
from headroles.adapt.methods.method import Method
from headroles.images.prompts import write_prompts
from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class UpperLayers:
    """A CLIP from its first changed layers on. What stands in for its weights meanwhile is the method's business."""

    model: HookedCLIP
    """The frozen CLIP."""
    vision: int
    """The first vision layer that is changed; their number where none is."""
    text: int
    """The same of the text tower."""

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before the first changed layer."""
        return self.model.visual.run(self.model.start_images(pixels), range(self.vision))

    @torch.no_grad()
    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """Frozen CLIP's unit embeddings, from there."""
        return self.embed_images(trunk)

    def embed_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """Unit embeddings, from there, by the weights that the model has now."""
        return embed_from(self.model.visual, trunk.to(self.model.dtype), self.vision)

    @torch.no_grad()
    def text_trunk(self, names: Sequence[str], template: str) -> TextTrunk:
        """The classes' texts before the first changed layer."""
        model, prompts = self.model, write_prompts(template, names)
        tower = model.text
        assert tower is not None  # Methods refuse models without texts.
        texts, classes = list_texts(prompts)
        ids = model.tokenize(texts)["input_ids"]
        return TextTrunk(
            residual=tower.run(model.start_texts(ids), range(self.text), model.causal_mask(ids.shape[1])),
            rows=model.text_rows(ids),
            frozen=embed_classes(model, prompts),
            classes=None if classes is None else classes.to(model.device),
            names=tuple(names),
            alike=model.find_alike(ids),
        )

    def embed_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        """Unit embeddings of classes, from there, by the weights that the model has now."""
        model, tower = self.model, self.model.text
        assert tower is not None
        if self.text == tower.layers:
            ends = texts.residual[torch.arange(len(texts.rows), device=texts.rows.device), texts.rows]
        else:
            ends = run_texts(model, tower, texts, None, self.text)
        return texts.average(unit(tower.read(ends)))


class UpperVision(Method):
    """A method that changes the vision tower from some layer on, where its trunk ends."""

    _upper: UpperLayers

    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._upper.image_trunk(pixels)

    @property
    def trunk_kind(self) -> Hashable:
        return residual_before(self._upper.vision)

    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        return self._upper.frozen_images(trunk)


class UpperMethod(UpperVision):
    """A method that changes the text tower too, from some layer on, where the classes' trunk ends."""

    def class_trunk(self, names: Sequence[str], template: str) -> ClassTrunk:
        return self._upper.text_trunk(names, template)


def pick_classes(texts: TextTrunk, numbers: Int[Tensor, "picked"]) -> TextTrunk:
    """Some classes alone, in rising order of their numbers."""
    rows, classes = pick_texts(texts.classes, numbers)
    return dataclasses.replace(
        texts,
        residual=texts.residual[rows],
        alike=None if texts.alike is None else texts.alike.pick(rows),
        rows=texts.rows[rows],
        classes=classes,
        frozen=texts.frozen[numbers],
        names=tuple(texts.names[number] for number in numbers.tolist()) if texts.names else (),
    )
