"""CoCoOp (arXiv 2203.05557): CoOp whose context is moved by each image, so that texts are encoded image by image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.adapt.config import TrainConfig
from headroles.adapt.methods.coop import Coop, NamedClasses, embed_named
from headroles.adapt.methods.tokens import draw_linear
from headroles.adapt.methods.training_data import TrainingData
from headroles.models.precision import in_full_precision

_TEXTS = 512
"""Texts of one run: some images' classes."""


class Cocoop(Coop):
    """The context vectors, and a small net from an image's embedding to what is added to all of them."""

    name = "cocoop"
    title = "CoCoOp"
    source = "https://arxiv.org/abs/2203.05557"
    novel = "by the learned context before their names, moved by each image"
    preset: ClassVar[Mapping[str, Any]] = {**Coop.preset, "batch": 1, "epochs": 10}
    preset_by_data = ""

    meta: nn.Sequential
    """From an image's embedding, over a sixteenth of its width, to the text tower's width."""

    def _build(self, generator: torch.Generator) -> None:
        embed = self.model.visual.embed
        narrow = max(1, embed // 16)
        first, last = draw_linear(embed, narrow, generator), draw_linear(narrow, self.text_tower.width, generator)
        self.meta = nn.Sequential(first, nn.ReLU(), last)

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        return {}

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"""A [CoCoOp]({cls.source}) adapter: learned context vectors before the class name in the text tower,
moved by each image."""

    def encode_texts(self, texts: NamedClasses) -> Any:
        """The names as they are: an image's context makes their embeddings."""
        return texts

    def logits(self, images: Float[Tensor, "image embed"], classes: NamedClasses) -> Float[Tensor, "image class"]:
        whole = torch.compiler.is_exporting()  # There the number of images is not known.
        parts = [images] if whole else images.split(max(1, _TEXTS // len(classes.embedded)))
        return torch.cat([self._logits(part, classes) for part in parts])

    def _logits(self, images: Float[Tensor, "image embed"], classes: NamedClasses) -> Float[Tensor, "image class"]:
        count, names = images.shape[0], len(classes.embedded)  # A symbol where it is exported.
        contexts = (self.context + self.meta(images)[:, None]).repeat_interleave(names, 0)
        each = dataclasses.replace(
            classes, embedded=classes.embedded.repeat(count, 1, 1), rows=classes.rows.repeat(count)
        )
        texts = embed_named(self, each, contexts).unflatten(0, (-1, names))
        return self._cosines(images, texts)

    @in_full_precision
    def _cosines(
        self, images: Float[Tensor, "image embed"], texts: Float[Tensor, "image class embed"]
    ) -> Float[Tensor, "image class"]:
        return self.scale * torch.einsum("ie,ice->ic", images, texts)

    def served_tensors(self) -> dict[str, Tensor]:
        """The text tower too: it runs for every image."""
        texts = {
            f"clip.{name}": value
            for name, value in self.model.clip.state_dict().items()
            if name.startswith(("text_model.", "text_projection."))
        }
        return {**texts, **{f"adapter.{name}": value for name, value in self.state_dict().items()}}
