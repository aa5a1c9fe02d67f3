"""validate(): does a concept die with the heads that a role map calls its own, and only it? Top to bottom."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import spearmanr

from headroles.causal.effects import EffectSums, HeadRecord, HeadSet, Progress, direct_effects, total_effects
from headroles.causal.margins import ValueTexts
from headroles.causal.validation import ConceptTest, Correlation, Cost, Estimate, HeadEffect, IntactConcept, Validation
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.heads.ablate import EFFECTS, MODES
from headroles.heads.ablation import record_ablation
from headroles.heads.matched import draw_any, draw_matched
from headroles.heads.reference import HeadReference
from headroles.images.labelled import LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import HeadRole, ImagesInfo, ModelInfo, RoleMap

_FEWEST = 4
"""Heads that a rank correlation needs here."""


@dataclass(frozen=True)
class ValidateConfig:
    """All settings of a validation; written into it."""

    effect: str = "direct"
    """"direct": only the heads' own part of the embedding; "total": also what later layers make of it."""
    mode: str = "mean"
    """What stands in for a cut head: "mean" over the labelled images, "zero", or "resample" (another image's)."""
    draws: int = 100
    """Matched random sets a concept; at least 20."""
    blocks: int = 32
    """Blocks of images that the bootstrap draws from."""
    bootstraps: int = 1000
    """Resamples of the blocks."""
    seed: int = 1
    """Seed of rendered scenes, random sets and resamples."""
    concepts: tuple[str, ...] | None = None
    """Labelled concepts to use; None: all."""

    def __post_init__(self) -> None:
        check_choices(self, effect=EFFECTS, mode=MODES)
        check_least(self, draws=20, blocks=2, bootstraps=20, seed=0)


def validate(
    model: HookedCLIP,
    role_map: RoleMap,
    images: LabelledImages,
    config: ValidateConfig | None = None,
    *,
    batch: int = 64,
    workers: int = 0,
    progress: Progress | None = None,
) -> Validation:
    """Cut every concept's Attribute heads, and every scored head alone, and measure what each labelled concept loses.

    The cost of a cut is the mean margin (log odds of the right value, zero-shot) that the concept's images lose. It is
    held against matched random heads and Generalization heads. `images` must not be those that were scored. Raises
    InputError where the role map is another model's, has no Attribute head, or shares no concept with the labels.
    """
    config = config or ValidateConfig()
    images = choose_concepts(images, config.concepts)
    check_fit(role_map, model, images)
    plan = _Plan.draw(role_map, config, images.names)
    sums, info = _measure(model, role_map, images, plan, config, batch, workers, progress)
    return Validation(
        model=ModelInfo(model.model_name, role_map.model.weights_hash, model.visual.layers, model.visual.heads),
        role_map=hashlib.sha256(role_map.to_json().encode()).hexdigest(),
        images=info,
        settings=record_ablation(_plain(config)),
        concepts=_intact(images, sums),
        **_Summary(role_map, plan, images.names, sums, config).parts(),
    )


def _plain(config: ValidateConfig) -> dict[str, Any]:
    """Values as JSON keeps them."""
    return {**dataclasses.asdict(config), "concepts": None if config.concepts is None else list(config.concepts)}


def check_fit(role_map: RoleMap, model: HookedCLIP, images: LabelledImages) -> None:
    """InputError where role map, model and labelled images do not belong together."""
    found = model.weights_hash()
    if role_map.model.weights_hash != found:
        raise InputError(
            f"role map: it describes weights {role_map.model.weights_hash[:12]}... ({role_map.model.name}), not those "
            f"of model {model.model_name} ({found[:12]}...); score this model, or give --model",
            page="other-weights",
        )
    tested = {head.concept for head in role_map.heads(role="attribute")}
    if not tested:
        raise InputError(
            "role map: it has no Attribute head to test; score with --roles-by quantile or a larger --low",
            page="no-attribute-head",
        )
    if not tested & set(images.names):
        raise InputError(
            f"images: they are labelled with {', '.join(images.names)}, and no such concept has Attribute heads; "
            f"these have: {', '.join(sorted(tested))}"
        )


def choose_concepts(images: LabelledImages, names: Sequence[str] | None) -> LabelledImages:
    """The same images, labelled with these concepts alone."""
    if not names:
        return images
    unknown = [name for name in names if name not in images.names]
    if unknown:
        raise InputError(f"concepts: the images are not labelled with {unknown[0]!r}, but {', '.join(images.names)}")
    columns = [column for column, name in enumerate(images.names) if name in names]
    concepts = tuple(images.concepts[column] for column in columns)
    return dataclasses.replace(images, concepts=concepts, codes=images.codes[:, columns])


@dataclass(frozen=True)
class _Plan:
    """Every set of heads to cut, each once, and which of them answer which question."""

    sets: tuple[HeadSet, ...]
    """The first is empty: the intact model."""
    heads: tuple[HeadRole, ...]
    """All scored heads."""
    singles: tuple[int, ...]
    """The set of each of these heads alone."""
    own: dict[str, int]
    """Concept -> the set of its Attribute heads."""
    matched: dict[str, tuple[int, ...]]
    """Concept -> its matched random sets; none where a layer has too few other heads."""
    general: dict[str, tuple[int, ...]]
    """Concept -> as many Generalization heads, drawn; none where there are too few."""

    @classmethod
    def draw(cls, role_map: RoleMap, config: ValidateConfig, concepts: Sequence[str]) -> _Plan:
        """Sets for all concepts with Attribute heads that the images are labelled with."""
        known: dict[HeadSet, int] = {(): 0}

        def number(members: HeadSet) -> int:
            return known.setdefault(tuple(sorted(members)), len(known))

        variance = {(head.layer, head.head): head.variance for head in role_map}
        general = [(head.layer, head.head) for head in role_map if head.role == "generalization"]
        singles = tuple(number((place,)) for place in variance)
        own, matched, any_general = {}, {}, {}
        for row, concept in enumerate(concepts):
            places = [(head.layer, head.head) for head in role_map.head_roles]
            places = [
                place
                for place, head in zip(places, role_map, strict=True)
                if head.role == "attribute" and head.concept == concept
            ]
            if places:
                rng = np.random.default_rng([config.seed, 5, row])
                own[concept] = number(tuple(places))
                drawn = (
                    draw_matched(places, variance, config.draws, rng),
                    draw_any(general, len(places), config.draws, rng),
                )
                matched[concept], any_general[concept] = (tuple(map(number, each)) for each in drawn)
        return cls(tuple(known), tuple(role_map), singles, own, matched, any_general)


def _measure(
    model: HookedCLIP,
    role_map: RoleMap,
    images: LabelledImages,
    plan: _Plan,
    config: ValidateConfig,
    batch: int,
    workers: int,
    progress: Progress | None,
) -> tuple[EffectSums, ImagesInfo]:
    """One pass for the direct effect, or one, and the forwards of every set, for the total effect."""
    texts = ValueTexts.embed(model, images.concepts)
    passes = {"batch": batch, "workers": workers}
    how = {"mode": config.mode, "seed": config.seed, "blocks": config.blocks}
    if config.effect == "direct":
        record = HeadRecord.collect(model, images, role_map.layers, **passes, progress=progress)
        info = ImagesInfo(images.name, len(record.index), record.broken)
        return direct_effects(model, images, record, texts, role_map.layers, plan.sets, **how), info
    if model.visual.pooling and model.visual.layers in role_map.layers and config.mode != "zero":
        raise InputError(
            "mode: the total effect of a pooling head's heads is known for zero alone, or take effect direct"
        )
    pool = 64 if config.mode == "resample" else 0
    reference = HeadReference.collect(model, images.images, role_map.layers, pool, config.seed, **passes)
    info = ImagesInfo(images.name, reference.images, reference.broken)
    return total_effects(model, images, texts, plan.sets, reference, **how, **passes, progress=progress), info


def _intact(images: LabelledImages, sums: EffectSums) -> tuple[IntactConcept, ...]:
    count = sums.count.sum(0)
    margin, right = sums.margin[:, 0].sum(0) / count, sums.right[:, 0].sum(0) / count
    return tuple(
        IntactConcept(
            concept.name, len(concept.values), int(count[column]), _round(margin[column]), _round(right[column])
        )
        for column, concept in enumerate(images.concepts)
    )


class _Summary:
    """Costs, ratios and their intervals, from the sums over blocks.

    All means over sets are linear in the sums, so they are taken first and the bootstrap runs on them alone. The first
    row of every array with an axis `draw` is the estimate, the others are resamples.
    """

    def __init__(
        self, role_map: RoleMap, plan: _Plan, concepts: Sequence[str], sums: EffectSums, config: ValidateConfig
    ) -> None:
        self.plan, self.concepts, self.sums, self.config = plan, concepts, sums, config
        self.role_map = role_map
        count = sums.count.numpy()
        if (count.sum(0) == 0).any():
            raise InputError(f"images: none has a value of {concepts[int((count.sum(0) == 0).argmax())]}")
        rng = np.random.default_rng([config.seed, 6])
        filled = np.flatnonzero(count.sum(1))
        times = rng.multinomial(len(filled), np.full(len(filled), 1 / len(filled)), config.bootstraps)
        self.weights = np.zeros((1 + config.bootstraps, len(count)))
        self.weights[0, filled], self.weights[1:, filled] = 1, times
        self.images = self.weights @ count
        self.single = np.stack([self._cost([number]) for number in plan.singles], 1)
        """(draw, head, concept)."""
        self.random = {name: self._cost(sets) for name, sets in plan.matched.items() if sets}
        """(draw, concept)."""
        sizes = {name: len(plan.sets[number]) for name, number in plan.own.items()}
        units = [cost / sizes[name] for name, cost in self.random.items()]
        unit = np.mean(units, 0) if units else self.single.mean(1)
        self.unit = np.where(unit > 0, unit, np.nan)
        """(draw, concept): what one matched random head costs."""

    def _cost(self, sets: Sequence[int]) -> Float[ndarray, "draw concept"]:
        """Mean margin lost to some sets."""
        margin = self.sums.margin
        lost = (margin[:, 0] - margin[:, list(sets)].mean(1)).numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.weights @ lost / self.images

    def parts(self) -> dict[str, Any]:
        """The fields of a Validation that are measured."""
        return {
            "tests": tuple(self._test(concept) for concept in self.plan.own),
            "heads": tuple(self._head(row, head) for row, head in enumerate(self.plan.heads)),
            "p_value": self._joint_p_value(),
            "correlation": self._correlation(),
        }

    def _test(self, concept: str) -> ConceptTest:
        members = self.plan.sets[self.plan.own[concept]]
        own = self._cost([self.plan.own[concept]])
        random, sets = self.random.get(concept), self.plan.matched[concept]
        general = self._cost(self.plan.general[concept]) if self.plan.general[concept] else None
        times = own / len(members) / self.unit
        at = self.concepts.index(concept)
        others = np.delete(times, at, axis=1)
        variance = {(head.layer, head.head): head.variance for head in self.plan.heads}
        sums = [sum(variance[place] for place in chosen) for chosen in (members, *(self.plan.sets[n] for n in sets))]
        right = self.sums.right.sum(0) / self.sums.count.sum(0)
        lost = (right[0] - right[self.plan.own[concept]]).numpy()
        return ConceptTest(
            concept=concept,
            heads=tuple(f"L{layer}.H{head}" for layer, head in members),
            draws=len(sets),
            distinct=len(set(sets)),
            variance_ratio=_round(sums[0] / np.mean(sums[1:])) if sets else None,
            costs={
                name: Cost(
                    margin=_estimate(own[:, column]),
                    times=_estimate(times[:, column]),
                    accuracy=_round(lost[column]),
                    random=None if random is None else _round(random[0, column]),
                    general=None if general is None else _round(general[0, column]),
                )
                for column, name in enumerate(self.concepts)
            },
            against_random=None if random is None else _estimate(_ratio(own[:, at], random[:, at])),
            against_general=None if general is None else _estimate(_ratio(own[:, at], general[:, at])),
            against_others=_estimate(_ratio(times[:, at], others.mean(1))) if others.size else None,
            p_value=self._p_value(concept, at) if sets else None,
        )

    def _p_value(self, concept: str, column: int) -> float:
        margin = self.sums.margin.sum(0)[:, column].numpy()
        matched = np.unique(self.plan.matched[concept])
        worse = (margin[matched] <= margin[self.plan.own[concept]]).sum()
        return _round((1 + worse) / (1 + len(matched)))

    def _joint_p_value(self) -> float | None:
        """Few heads of a layer leave a test few matched sets; all tests together have many."""
        margin, count = self.sums.margin.sum(0).numpy(), self.sums.count.sum(0).numpy()
        own, matched = 0.0, np.zeros(self.config.draws)
        for concept in self.random:
            at = self.concepts.index(concept)
            unit = self.unit[0, at] * len(self.plan.sets[self.plan.own[concept]]) * count[at]
            if np.isfinite(unit):
                own += (margin[0, at] - margin[self.plan.own[concept], at]) / unit
                matched += (margin[0, at] - margin[list(self.plan.matched[concept]), at]) / unit
        return _round((1 + (matched >= own).sum()) / (1 + len(matched))) if self.random else None

    def _head(self, row: int, head: HeadRole) -> HeadEffect:
        cost = self.single[0, row]
        times = cost / self.unit[0]
        (selectivity,) = selectivities(times[None])
        strongest = None if np.isnan(selectivity) else self.concepts[int(np.nanargmax(times))]
        costs = {name: _round(value) for name, value in zip(self.concepts, cost, strict=True)}
        return HeadEffect(head.name, head.role, head.concept, head.entropy, strongest, _round(selectivity), costs)

    def _correlation(self) -> Correlation | None:
        entropy = np.array([head.entropy for head in self.plan.heads])
        drawn = selectivities(self.single / self.unit[:, None])
        usable = ~np.isnan(drawn[0])
        if usable.sum() < _FEWEST or len(set(entropy[usable])) < 2 or len(set(drawn[0, usable])) < 2:
            return None
        found = spearmanr(entropy[usable], drawn[0, usable])
        rng = np.random.default_rng([self.config.seed, 7])
        rhos = []
        for row in drawn[1:]:
            chosen = rng.choice(np.flatnonzero(usable), usable.sum())
            chosen = chosen[~np.isnan(row[chosen])]
            if len(set(entropy[chosen])) > 1 and len(set(row[chosen])) > 1:
                rhos.append(spearmanr(entropy[chosen], row[chosen]).statistic)
        low, high = np.quantile(rhos, [0.025, 0.975])
        return Correlation(*map(_round, (found.statistic, low, high, found.pvalue)), int(usable.sum()))


def selectivities(times: Float[ndarray, "... concept"]) -> Float[ndarray, "..."]:
    """1 - normalised entropy of losses over concepts, gains counted as none; NaN where there is nothing to compare."""
    known = ~np.isnan(times)
    losses = np.where(known, np.maximum(times, 0), 0)
    whole, count = losses.sum(-1, keepdims=True), known.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = losses / whole
        bits = -np.where(share > 0, share * np.log2(share), 0).sum(-1)
        return np.where((whole[..., 0] > 0) & (count > 1), 1 - bits / np.log2(count), np.nan)


def _ratio(upper: Float[ndarray, "draw"], lower: Float[ndarray, "draw"]) -> Float[ndarray, "draw"]:
    """Upper over lower; infinite where lower is not above zero (and upper is)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower > 0, upper / lower, np.where(upper > 0, np.inf, np.nan))


def _estimate(draws: Float[ndarray, "draw"]) -> Estimate:
    """The first value, with the 95% interval of the others."""
    known = np.sort(draws[1:][~np.isnan(draws[1:])])
    ends = [known[round(share * (len(known) - 1))] for share in (0.025, 0.975)] if len(known) else [np.nan, np.nan]
    return Estimate(*map(_round, (draws[0], *ends)))


def _round(value: float) -> float | None:
    """Six digits; None for what JSON has no number for."""
    return float(f"{float(value):.6g}") if np.isfinite(value) else None
