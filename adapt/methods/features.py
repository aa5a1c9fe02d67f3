"""What methods pass on of images and texts: trunks that no training changes, unit embeddings, and their distance."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headroles.images.prompts import write_prompts
from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.hooked_clip import HookedCLIP

EMBEDDED = "unit embeddings"
"""`Method.trunk_kind` of those whose trunk is the frozen CLIP's answer."""


def residual_before(layer: int) -> Hashable:
    """`Method.trunk_kind` of those whose trunk is the frozen vision tower's residual stream before a layer."""
    return "residual stream", layer


@dataclass(frozen=True, kw_only=True)
class ClassTrunk:
    """What of classes does not depend on training; a method that needs more of them adds fields."""

    frozen: Float[Tensor, "class embed"]
    """Frozen CLIP's unit embeddings of the classes, by the task's template."""
    names: tuple[str, ...] = ()
    """The classes' names, in order."""

    @classmethod
    def of(cls, model: HookedCLIP, names: Sequence[str], template: str) -> ClassTrunk:
        """The classes as the frozen CLIP has them, and no more."""
        return ClassTrunk(frozen=embed_classes(model, write_prompts(template, names)), names=tuple(names))


@dataclass(frozen=True, kw_only=True)
class TextTrunk(ClassTrunk):
    """What of the classes' texts does not depend on training, where their last layers do."""

    residual: Float[Tensor, "text token width"]
    """The residual stream before the first layer with text tokens."""
    rows: Int[Tensor, "text"]
    """Where each text ends (EOT) in `residual`."""
    classes: Int[Tensor, "text"] | None = None
    """The class of each text; None where each text is a class."""
    alike: AlikeTexts | None = None
    """How to compute each of their tokens once; None where the tower is not causal."""

    def average(self, rows: Float[Tensor, "text embed"]) -> Float[Tensor, "class embed"]:
        """Unit mean of every class's unit embeddings."""
        return average_classes(rows, self.classes)


@dataclass(frozen=True)
class Batch:
    """What one step of a training needs of a batch of images."""

    trunk: Float[Tensor, "image ..."]
    """What the method's `image_trunk` gives."""
    labels: Int[Tensor, "image"]
    """Class numbers."""
    texts: Any
    """What the method's `class_trunk` gives, a ClassTrunk, of the classes that are trained; made once a training."""
    frozen: Float[Tensor, "image embed"] | None = None
    """The frozen CLIP's unit embeddings, where the losses need them (`needs_frozen_images`)."""
    weight: float = 1.0
    """Share of the whole batch that this process has."""
    numbers: tuple[int, ...] = ()
    """The images' numbers in the training."""
    domains: Int[Tensor, "image"] | None = None
    """Numbers of the images' domains, where they have any (`headroles.adapt.data.examples.Example.domain`)."""


@dataclass(frozen=True)
class ImageFeatures:
    """Unit embeddings of images."""

    cls: Float[Tensor, "image embed"]
    """CLS, through the frozen readout."""
    attributes: Float[Tensor, "image attribute embed"]
    """The attribute tokens, through the trained readout, in the order of `Dear.attributes`."""

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.cls.device


def embed_classes(model: HookedCLIP, prompts: Sequence[str | Sequence[str]]) -> Float[Tensor, "class embed"]:
    """Frozen CLIP's unit embeddings of classes, from one or several prompts each, for use in a training."""
    texts, classes = list_texts(prompts)
    # A tensor of inference mode could not enter autograd.
    frozen = at_least_single(model.embed_texts(texts).clone())
    return average_classes(frozen, None if classes is None else classes.to(frozen.device))


def list_texts(prompts: Sequence[str | Sequence[str]]) -> tuple[list[str], Int[Tensor, "text"] | None]:
    """All prompts in a row, and the class of each; None where each is a class."""
    groups = [(prompt,) if isinstance(prompt, str) else tuple(prompt) for prompt in prompts]
    texts = [text for group in groups for text in group]
    numbers = [number for number, group in enumerate(groups) for _ in group]
    return texts, torch.tensor(numbers) if len(texts) > len(groups) else None


def pick_texts(
    classes: Int[Tensor, "text"] | None, numbers: Int[Tensor, "picked"]
) -> tuple[Int[Tensor, "row"], Int[Tensor, "row"] | None]:
    """The rows of the texts of some classes, whose numbers rise, and the class of each among these.

    `classes`: as `list_texts` gives them.
    """
    if classes is None:
        return numbers, None
    rows = torch.isin(classes, numbers).nonzero()[:, 0]
    return rows, torch.searchsorted(numbers, classes[rows])


def at_least_single(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """At least single precision."""
    return embeddings if embeddings.dtype.itemsize >= 4 else embeddings.float()


def average_classes(
    rows: Float[Tensor, "text embed"], classes: Int[Tensor, "text"] | None
) -> Float[Tensor, "class embed"]:
    """Unit mean of the rows of every class; the rows themselves where each is a class."""
    if classes is None:
        return rows
    count = int(classes.max()) + 1
    return unit(torch.zeros(count, rows.shape[1], dtype=rows.dtype, device=rows.device).index_add(0, classes, rows))


def unit(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """Of length 1, at least in single precision."""
    return normalize(at_least_single(embeddings), dim=-1)


def distance(rows: Float[Tensor, "row embed"], frozen: Float[Tensor, "row embed"]) -> Float[Tensor, ""]:
    """Mean of 1 - cosine of unit rows."""
    return 1 - (rows * frozen).sum(-1).mean()


def add_terms(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """A step's loss: the sum of its terms, of which there is one at least. No 0 to begin with, which would be two more
    operations a step."""
    return reduce(operator.add, losses.values())
