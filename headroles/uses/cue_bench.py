"""CueBench: contributions and embeddings of all images of a task with groups, read once; questions are arithmetic."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from headroles.checks import check_choices, check_fields, check_least
from headroles.errors import InputError
from headroles.heads.ablate import EFFECTS, ablating
from headroles.heads.names import Head, Part, join_parts
from headroles.heads.reference import HeadReference
from headroles.heads.weights import HeadWeights, LearnConfig, learn_factors
from headroles.images.grouped import GroupedImages, check_splits
from headroles.images.images import Images, batches, count_images
from headroles.images.prompts import write_prompts
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.judged import Judged
from headroles.roles.role_map import RoleMap
from headroles.uses.index_build import index_in_memory
from headroles.uses.part_bases import Projectors, project_parts

CLASSIFIERS = ("images", "prompts")
"""Class vectors: the mean embedding of the training images of a class, or the embedding of its prompt (zero-shot)."""
_SCALE = 100.0
"""Factor on cosines while learning, for models without one of their own: CLIP's."""


@dataclass(frozen=True)
class DebiasConfig:
    """How a cue is fought, and how that is judged."""

    classifier: str = "images"
    """One of `CLASSIFIERS`."""
    scale: float = 0.0
    """What is left of the heads' deviation from their mean: 0 drops it, 1 leaves it."""
    effect: str = "direct"
    """"direct": their own parts of the embedding; "total": also all that later layers make of them (scale 0 only)."""
    template: str = "a photo of a {}"
    """Prompt of a class."""
    draws: int = 100
    """Draws of matched random heads."""
    resamples: int = 1000
    """Bootstrap resamples of blocks of test images."""
    blocks: int = 32
    """Blocks of test images: neighbours of one class and value, or groups that belong together."""
    seed: int = 0
    """Seed of pictures, draws and resamples."""
    allow_overlap: bool = False
    """Judge heads that the role map chose by test images that it was scored on, too; the result says how many."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, classifier=CLASSIFIERS, effect=EFFECTS)
        if not 0 <= self.scale <= 1:
            raise InputError(f"scale must be in 0..1, got {self.scale}")
        if self.effect == "total" and self.scale != 0:
            raise InputError(f"scale: the total effect is known for 0 alone, got {self.scale}; take --effect direct")
        check_least(self, draws=1, resamples=1, blocks=2)


class CueBench:
    """Contributions and embeddings of all images of a task, read once; every question after that is arithmetic."""

    def __init__(
        self, model: HookedCLIP, role_map: RoleMap, grouped: GroupedImages, config: DebiasConfig, batch: int = 64,
        workers: int = 0, judged: Judged | None = None,
    ) -> None:  # fmt: skip
        """`judged`: the images that judge, where the role map chose the heads."""
        self.model, self.role_map, self.grouped, self.config = model, role_map, grouped, config
        self.batch, self.workers = batch, workers
        self.index, self.numbers = index_in_memory(model, grouped.images, role_map.layers, batch, workers, judged)
        self.overlap = judged.finish() if judged else 0.0
        self.splits = grouped.splits[self.numbers]
        self.labels, self.groups = grouped.labels[self.numbers], grouped.groups[self.numbers]
        self.read = replace(grouped, labels=self.labels, places=grouped.places[self.numbers], splits=self.splits)
        check_splits(self.read, needed_splits(config))
        learned_from = self.splits == "train" if (self.splits == "train").any() else self.splits == "test"
        self.mean_heads = self.index.heads[learned_from].mean(0, dtype=np.float64).astype(np.float32)
        self._reference: HeadReference | None = None
        self._projectors: dict[Part, Float[ndarray, "width width"]] = {}
        self.texts = self._embed_prompts()

    def with_config(self, config: DebiasConfig) -> CueBench:
        """The same images, read already, under other settings."""
        other = copy.copy(self)
        other.config = config
        check_splits(self.read, needed_splits(config))
        other.texts = other._embed_prompts()
        return other

    def _embed_prompts(self) -> Float[Tensor, "class embed"] | None:
        if self.config.classifier == "images":
            return None
        prompts = write_prompts(self.config.template, self.grouped.classes)
        rows = self.model.embed_texts([text for texts in prompts for text in texts])
        means = [part.mean(0) for part in rows.split([len(texts) for texts in prompts])]
        return nn.functional.normalize(torch.stack(means), dim=-1).float().cpu()

    def damped(
        self,
        factors: Float[Tensor, "layer head"],
        rows: Sequence[int] | ndarray | None = None,
        projectors: Projectors | None = None,
    ) -> Float[Tensor, "image embed"]:
        """Unit embeddings with every head's deviation from its mean times its factor; gradients reach the factors.

        `projectors`: of heads of which single directions are damped.
        """
        rows = np.arange(len(self.index)) if rows is None else rows
        total = torch.from_numpy(np.array(self.index.embeddings[rows]))
        for layer, head in np.ndindex(*factors.shape):
            if not factors.requires_grad and factors[layer, head] == 1:
                continue
            part = self.index.heads[rows, layer, head] - self.mean_heads[layer, head]
            if projectors and (layer, head) in projectors:
                part = (part @ projectors[layer, head]).astype(np.float32)
            part = part @ self.index.bases[layer, head]
            total = total + (factors[layer, head] - 1) * torch.from_numpy(part)
        return nn.functional.normalize(total, dim=-1)

    def dropped(self, heads: Sequence[Head] | Sequence[Part]) -> Float[Tensor, "image embed"]:
        """Unit embeddings with these heads, or directions of heads, damped as the settings say."""
        if self.config.effect == "direct":
            parts = join_parts(Part(*each) for each in heads)
            return self.damped(self.factors_of([part.place for part in parts]), None, self._project(parts))
        if self._reference is None:
            self._reference = HeadReference.collect(
                self.model, self._means_from(), self.role_map.layers, pool=0, batch=self.batch, workers=self.workers
            )
        with ablating(self.model, heads, "mean", "total", self._reference):
            read = batches(self.grouped.images, self.batch, self.workers)
            rows = [
                self.model.embed_images(pixels).float().cpu()
                for index, pixels, _ in count_images(read, "without the heads", len(self.numbers))
                if len(index)
            ]
        found = torch.cat(rows)
        check_rows(found, self.grouped.images.name, self.numbers.tolist())
        return found

    def variances(self, heads: Sequence[Part]) -> dict[Part, float]:
        """Of the parts of the unit embedding that the directions of `heads` have, in all heads of their layers."""
        found: dict[Part, float] = {}
        for layer, own in sorted({(part.layer, part.directions) for part in heads}):
            everyone = [Part(layer, head, own) for head in range(self.role_map.model.heads)]
            projectors = self._project(everyone)
            found |= {part: self._variance(part, projectors) for part in everyone}
        return found

    def _variance(self, part: Part, projectors: Projectors) -> float:
        row, head = self.role_map.layers.index(part.layer), part.head
        basis = self.index.bases[row, head]
        if (row, head) in projectors:
            basis = projectors[row, head] @ basis
        return float(np.square((self.index.heads[:, row, head] - self.mean_heads[row, head]) @ basis).sum(1).mean())

    def _project(self, parts: Sequence[Part]) -> Projectors:
        """Projectors of parts that are directions, each kept: random draws come back to the same ones."""
        split = [part for part in parts if part.directions]
        new = [part for part in split if part not in self._projectors]
        found = project_parts(self.model, self.role_map.layers, new)
        places = {part: (self.role_map.layers.index(part.layer), part.head) for part in split}
        self._projectors |= {part: found[places[part]] for part in new}
        return {place: self._projectors[part] for part, place in places.items()}

    def factors_of(self, heads: Sequence[Head]) -> Float[Tensor, "layer head"]:
        """`scale` for these heads, 1 for the others."""
        factors = torch.ones(len(self.role_map.layers), self.role_map.model.heads)
        for layer, head in heads:
            factors[self.role_map.layers.index(layer), head] = self.config.scale
        return factors

    def class_vectors(self, embeddings: Float[Tensor, "image embed"], train: ndarray) -> Float[Tensor, "class embed"]:
        """Unit vectors of the classes: their texts, or the mean of their `train` rows among `embeddings`."""
        if self.texts is not None:
            return self.texts
        labels = self.labels[train]
        own = [embeddings[torch.from_numpy(labels == label)].mean(0) for label in range(len(self.grouped.classes))]
        return nn.functional.normalize(torch.stack(own), dim=-1)

    def correct(self, embeddings: Float[Tensor, "image embed"]) -> ndarray:
        """Which test images are classified rightly."""
        train, test = self.splits == "train", self.splits == "test"
        vectors = self.class_vectors(embeddings[torch.from_numpy(train)], train)
        guesses = (embeddings[torch.from_numpy(test)] @ vectors.T).argmax(-1).numpy()
        return guesses == self.labels[test]

    def learn(self, config: LearnConfig) -> HeadWeights:
        """Head weights from the split "val", or from "train" where there is none."""
        split = "val" if (self.splits == "val").any() else "train"
        rows, train = np.flatnonzero(self.splits == split), np.flatnonzero(self.splits == "train")
        if not len(rows):
            raise InputError(f"task: {self.grouped.name} has no val or train image to learn from; add a column split")
        mask = self.splits == "train"
        scale = self.model.logit_scale if self.model.text is not None else _SCALE

        def logits(factors: Float[Tensor, "layer head"]) -> Float[Tensor, "image class"]:
            vectors = self.class_vectors(self.damped(factors, train), mask)
            return scale * self.damped(factors, rows) @ vectors.T

        shape = (len(self.role_map.layers), self.role_map.model.heads)
        labels, groups = torch.from_numpy(self.labels[rows]), torch.from_numpy(self.groups[rows])
        factors = learn_factors(logits, shape, labels, groups, config)
        return HeadWeights(
            self.index.weights_hash, tuple(self.role_map.layers),
            tuple(tuple(round(value, 6) for value in row) for row in factors.tolist()),
            f"{self.grouped.name}, {len(rows)} {split} images, class vectors from {self.config.classifier}", config,
        )  # fmt: skip

    def _means_from(self) -> _Subset:
        """The images that means are taken over: the training ones, or all where there are none."""
        kept = np.flatnonzero(self.grouped.splits == ("train" if (self.splits == "train").any() else "test"))
        return _Subset(self.grouped.images, kept)


@dataclass
class _Subset:
    """Some images of a set, numbered anew."""

    images: Images
    rows: ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        return index, self.images[int(self.rows[index])][1]

    def name(self, index: int) -> str:
        """The image's own."""
        return self.images.name(int(self.rows[index]))

    def fingerprint(self) -> str:
        """The whole set's, and which of it."""
        return f"{self.images.fingerprint()} {self.rows.tolist()}"


def needed_splits(config: DebiasConfig) -> dict[str, str]:
    """Splits that must have images of every class, and what for."""
    if config.classifier == "prompts":
        return {"test": "to judge"}
    return {"test": "to judge", "train": "for class vectors; add a column split, or classify by --classifier prompts"}
