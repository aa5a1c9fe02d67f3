"""Damp the heads of a spurious concept: does the worst group get better, and more so than with other heads?

Zero-shot or from a few images, a CLIP classifies by the cosine of an embedding with one vector a class. Where the class
vectors follow a cue (a background, say), images of a class without its cue are the worst group (Waterbirds: Sagawa et
al., arXiv 1911.08731). The cue's heads are damped in the embedding, around their mean, so that their common part stays.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from headroles.ablate import EFFECTS, ablating
from headroles.errors import InputError
from headroles.grouped_images import GroupedImages, check_splits
from headroles.head_reference import HeadReference
from headroles.head_weights import HeadWeights, LearnConfig, learn_factors
from headroles.heads import Head, head_list
from headroles.hooked_clip import HookedCLIP
from headroles.image_index import index_in_memory
from headroles.images import batches
from headroles.prompts import write_prompts
from headroles.role_map import RoleMap

CLASSIFIERS = ("images", "prompts")
"""Class vectors: the mean embedding of the training images of a class, or the embedding of its prompt (zero-shot)."""
_RANDOM = "matched random heads of other concepts"
_NEAR = 4.0
"""A matched head's variance is within this factor of the head's that it stands for."""


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
    """Bootstrap resamples of test images, within groups."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("classifier", CLASSIFIERS), ("effect", EFFECTS)):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 <= self.scale <= 1:
            raise InputError(f"scale must be in 0..1, got {self.scale}")
        if self.effect == "total" and self.scale != 0:
            raise InputError(f"scale: the total effect is known for 0 alone, got {self.scale}; take --effect direct")
        if self.draws < 1 or self.resamples < 1:
            raise InputError(f"draws and resamples must be at least 1, got {self.draws} and {self.resamples}")


@dataclass(frozen=True)
class Accuracies:
    """Of one classifier on the test images."""

    worst: float
    worst_interval: tuple[float, float]
    """95% bootstrap over images, within groups."""
    mean: float
    """Over all test images."""
    mean_interval: tuple[float, float]
    groups: dict[str, float]
    """Group -> accuracy."""


@dataclass(frozen=True)
class RandomHeads:
    """Gains of the worst group with matched random heads."""

    mean: float
    interval: tuple[float, float]
    """Their 2.5% and 97.5% quantiles."""
    draws: int
    distinct: int
    """How many different sets of heads there were."""
    as_good: float
    """Share of the draws that gained as much as the chosen heads or more."""


@dataclass(frozen=True)
class Debiased:
    """What damping heads did."""

    task: str
    classifier: str
    heads: str
    """Names, or where the factors come from."""
    scale: float | None
    effect: str
    before: Accuracies
    after: Accuracies
    gain: float
    """Of the worst group."""
    gain_interval: tuple[float, float]
    """95%, the same resamples before and after."""
    random: RandomHeads
    broken: tuple[str, ...]
    """Images that could not be read."""


class Bench:
    """Contributions and embeddings of all images of a task, read once; every question after that is arithmetic."""

    def __init__(
        self, model: HookedCLIP, role_map: RoleMap, grouped: GroupedImages, config: DebiasConfig, batch: int = 64,
        workers: int = 0,
    ) -> None:  # fmt: skip
        self.model, self.role_map, self.grouped, self.config = model, role_map, grouped, config
        self.batch, self.workers = batch, workers
        self.index, self.numbers = index_in_memory(model, grouped.images, role_map.layers, batch, workers)
        self.splits = grouped.splits[self.numbers]
        self.labels, self.groups = grouped.labels[self.numbers], grouped.groups[self.numbers]
        self.read = replace(grouped, labels=self.labels, places=grouped.places[self.numbers], splits=self.splits)
        check_splits(self.read, _needed(config))
        learned_from = self.splits == "train" if (self.splits == "train").any() else self.splits == "test"
        self.mean_heads = self.index.heads[learned_from].mean(0, dtype=np.float64).astype(np.float32)
        self._reference: HeadReference | None = None
        self.texts = self._embed_prompts()

    def with_config(self, config: DebiasConfig) -> Bench:
        """The same images, read already, under other settings."""
        other = copy.copy(self)
        other.config = config
        check_splits(self.read, _needed(config))
        other.texts = other._embed_prompts()
        return other

    def _embed_prompts(self) -> Float[Tensor, "class embed"] | None:
        if self.config.classifier == "images":
            return None
        return self.model.embed_texts(write_prompts(self.config.template, self.grouped.classes)).float().cpu()

    def damped(
        self, factors: Float[Tensor, "layer head"], rows: Sequence[int] | ndarray | None = None
    ) -> Float[Tensor, "image embed"]:
        """Unit embeddings with every head's deviation from its mean times its factor; gradients reach the factors."""
        rows = np.arange(len(self.index)) if rows is None else rows
        total = torch.from_numpy(np.array(self.index.embeddings[rows]))
        for layer, head in np.ndindex(*factors.shape):
            if not factors.requires_grad and factors[layer, head] == 1:
                continue
            part = (self.index.heads[rows, layer, head] - self.mean_heads[layer, head]) @ self.index.bases[layer, head]
            total = total + (factors[layer, head] - 1) * torch.from_numpy(part)
        return nn.functional.normalize(total, dim=-1)

    def dropped(self, heads: Sequence[Head]) -> Float[Tensor, "image embed"]:
        """Unit embeddings with these heads damped as the settings say."""
        if self.config.effect == "direct":
            return self.damped(self.factors_of(heads))
        if self._reference is None:
            self._reference = HeadReference.collect(
                self.model, self._means_from(), self.role_map.layers, pool=0, batch=self.batch, workers=self.workers
            )
        with ablating(self.model, heads, "mean", "total", self._reference):
            rows = [
                self.model.embed_images(pixels).float().cpu()
                for index, pixels, _ in batches(self.grouped.images, self.batch, self.workers)
                if len(index)
            ]
        return torch.cat(rows)

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

        def logits(factors: Float[Tensor, "layer head"]) -> Float[Tensor, "image class"]:
            vectors = self.class_vectors(self.damped(factors, train), mask)
            return self.model.logit_scale * self.damped(factors, rows) @ vectors.T

        shape = (len(self.role_map.layers), self.role_map.model.heads)
        labels, groups = torch.from_numpy(self.labels[rows]), torch.from_numpy(self.groups[rows])
        factors = learn_factors(logits, shape, labels, groups, config)
        return HeadWeights(
            self.index.weights_hash, tuple(self.role_map.layers),
            tuple(tuple(round(value, 6) for value in row) for row in factors.tolist()),
            f"{self.grouped.name}, {len(rows)} {split} images, class vectors from {self.config.classifier}", config,
        )  # fmt: skip

    def _means_from(self):
        """The images that means are taken over: the training ones, or all where there are none."""
        kept = np.flatnonzero(self.grouped.splits == ("train" if (self.splits == "train").any() else "test"))
        return _Subset(self.grouped.images, kept)


@dataclass
class _Subset:
    """Some images of a set, numbered anew."""

    images: Any
    rows: ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        return index, self.images[int(self.rows[index])][1]


def _needed(config: DebiasConfig) -> dict[str, str]:
    """Splits that must have images of every class, and what for."""
    if config.classifier == "prompts":
        return {"test": "to judge"}
    return {"test": "to judge", "train": "for class vectors; add a column split, or classify by --classifier prompts"}


def debias(bench: Bench, heads: Sequence[Head]) -> Debiased:
    """Worst-group and mean accuracy before and after damping these heads, and with matched random heads instead."""
    draws = matched_heads(bench.role_map, heads, bench.config.draws, bench.config.seed)
    cache: dict[tuple[Head, ...], ndarray] = {}
    for each in draws:
        if each not in cache:
            cache[each] = bench.correct(bench.dropped(each))
    others = [cache[each] for each in draws]
    return _compare(
        bench, bench.correct(bench.dropped(heads)), others, len(cache), head_list(heads), bench.config.scale
    )


def debias_by_weights(bench: Bench, weights: HeadWeights, name: str) -> Debiased:
    """The same for learned factors; the random ones are these factors, shuffled among the heads of each layer."""
    if weights.weights_hash != bench.index.weights_hash or weights.layers != tuple(bench.role_map.layers):
        raise InputError(f"head weights: {name} are of another model or of other layers than the role map's")
    if bench.config.effect == "total":
        raise InputError("effect: learned factors act on stored contributions, which is the direct effect")
    factors = torch.tensor(weights.factors)
    rng = np.random.default_rng([bench.config.seed, 8])
    shuffled = [
        torch.stack([row[torch.from_numpy(rng.permutation(len(row)))] for row in factors])
        for _ in range(bench.config.draws)
    ]
    others = [bench.correct(bench.damped(each)) for each in shuffled]
    return _compare(bench, bench.correct(bench.damped(factors)), others, len(others), name, None)


def matched_heads(role_map: RoleMap, heads: Sequence[Head], draws: int, seed: int) -> list[tuple[Head, ...]]:
    """Draws of heads of other concepts: as many in each layer, each of a variance near that of the head it stands for.

    Near: within a factor of 4, else the nearest in the layer. A head that shares its dominant concept with one of
    `heads` is no random head. Raises InputError where a layer has too few others.
    """
    concepts = {head.concept for head in role_map if (head.layer, head.head) in set(heads)}
    variance = {(head.layer, head.head): max(head.variance, 1e-30) for head in role_map}
    other = [(head.layer, head.head) for head in role_map if head.concept not in concepts]
    rng, found = np.random.default_rng([seed, 7]), []
    for _ in range(draws):
        taken: set[Head] = set()
        for head in sorted(heads, key=lambda each: rng.random()):
            others = [each for each in other if each[0] == head[0] and each not in taken]
            if not others:
                raise InputError(f"heads: layer {head[0]} has too few heads of other concepts; choose fewer")
            ratio = {each: abs(np.log(variance[each] / variance[head])) for each in others}
            near = [each for each in others if ratio[each] <= np.log(_NEAR)] or [min(ratio, key=ratio.get)]
            taken.add(near[int(rng.integers(len(near)))])
        found.append(tuple(sorted(taken)))
    return found


def _compare(
    bench: Bench, after: ndarray, others: Sequence[ndarray], distinct: int, name: str, scale: float | None
) -> Debiased:
    before = bench.correct(torch.from_numpy(np.array(bench.index.embeddings)))
    groups = bench.groups[bench.splits == "test"]
    rng = np.random.default_rng([bench.config.seed, 9])
    places = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    rows = np.stack(
        [np.concatenate([rng.choice(own, len(own)) for own in places]) for _ in range(bench.config.resamples)]
    )
    old, new = (_resampled_worst(correct, groups, rows) for correct in (before, after))
    gain = worst_group(after, groups) - worst_group(before, groups)
    gains = np.array([worst_group(each, groups) - worst_group(before, groups) for each in others])
    return Debiased(
        task=bench.grouped.name,
        classifier=bench.config.classifier,
        heads=name,
        scale=scale,
        effect=bench.config.effect,
        before=_accuracies(bench, before, groups, rows, old),
        after=_accuracies(bench, after, groups, rows, new),
        gain=gain,
        gain_interval=_interval(new - old),
        random=RandomHeads(
            float(gains.mean()), _interval(gains), len(gains), distinct, float((gains >= gain - 1e-12).mean())
        ),
        broken=tuple(sorted(bench.index.broken)),
    )


def _accuracies(bench: Bench, correct: ndarray, groups: ndarray, rows: ndarray, worst: ndarray) -> Accuracies:
    by_group = {
        bench.grouped.group_name(int(group)): float(correct[groups == group].mean()) for group in np.unique(groups)
    }
    means = correct[rows].mean(1)
    return Accuracies(min(by_group.values()), _interval(worst), float(correct.mean()), _interval(means), by_group)


def worst_group(correct: ndarray, groups: Int[ndarray, "image"]) -> float:
    """The lowest accuracy of a group."""
    return float(min(correct[groups == group].mean() for group in np.unique(groups)))


def _resampled_worst(correct: ndarray, groups: ndarray, rows: ndarray) -> ndarray:
    """Worst-group accuracy of every resample."""
    drawn = correct[rows]
    return np.stack([drawn[:, groups[rows[0]] == group].mean(1) for group in np.unique(groups)]).min(0)


def _interval(values: ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def to_text(found: Debiased) -> str:
    """A few lines for people, accuracies in percent with 95% intervals."""

    def show(value: float, interval: tuple[float, float], sign: str = "") -> str:
        return f"{100 * value:{sign}.1f} [{100 * interval[0]:{sign}.1f}, {100 * interval[1]:{sign}.1f}]"

    how = "learned factors" if found.scale is None else f"scale {found.scale:g}"
    lines = [f"{found.task}, class vectors from {found.classifier}; {found.heads}: {how}, {found.effect} effect"]
    lines.append(f"{'':<16}{'worst group':<24}{'mean':<24}" + "  ".join(found.before.groups))
    for name, each in (("before", found.before), ("after", found.after)):
        groups = "  ".join(f"{100 * value:>{len(group)}.1f}" for group, value in each.groups.items())
        worst, mean = show(each.worst, each.worst_interval), show(each.mean, each.mean_interval)
        lines.append(f"{name:<16}{worst:<24}{mean:<24}{groups}")
    lines.append(f"worst group {show(found.gain, found.gain_interval, '+')} points")
    other, what = found.random, "the same factors shuffled in each layer" if found.scale is None else _RANDOM
    lines.append(
        f"{what} {show(other.mean, other.interval, '+')} points over {other.draws} draws "
        f"({other.distinct} distinct); {100 * other.as_good:.0f}% of them gain as much"
    )
    if found.broken:
        lines.append(f"left out {len(found.broken)} broken image files: {', '.join(found.broken[:5])}")
    return "\n".join(lines)
