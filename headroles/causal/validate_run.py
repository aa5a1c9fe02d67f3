"""ValidateRun: one validation in four steps. Open what it speaks of, fold the images in, explain the sums, write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from headroles.causal.block_costs import BlockCosts
from headroles.causal.concept_tests import concept_tests, joint_p_value
from headroles.causal.config import ValidateConfig
from headroles.causal.costs import IntactConcept
from headroles.causal.doses import DoseSets, dose_curves
from headroles.causal.effects import EffectSums, direct_effects, total_effects
from headroles.causal.estimates import short
from headroles.causal.fit import check_labels, choose_concepts
from headroles.causal.head_record import HeadRecord
from headroles.causal.head_sets import HeadSets
from headroles.causal.margins import ValueTexts
from headroles.causal.selectivity import correlate, head_effects
from headroles.causal.validation import Validation
from headroles.errors import InputError
from headroles.files.whole import replacing_together
from headroles.heads.ablation import record_ablation
from headroles.heads.reference import HeadReference
from headroles.images.labelled import TEMPLATE, LabelledImages, open_labelled
from headroles.images.reading import Reading, announce, describe_images
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.passes.image_pass import Progress
from headroles.roles.judged import Judged
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_map import ImagesInfo, ModelInfo, RoleMap

FILES = ("validation.json", "validation.csv")
_POOL = 64
"""Images that resampling draws from, for the total effect."""


@dataclass(frozen=True)
class Folded:
    """All that is kept of the images."""

    sets: HeadSets
    """The sets of heads that were cut."""
    sums: EffectSums
    """What was left of the margins, set by set."""
    images: ImagesInfo
    """Which images were read."""
    overlap: float
    """Share of them that the role map was scored on."""
    doses: tuple[DoseSets, EffectSums] | None = None
    """What was scaled, and the margins then, where doses were asked for."""


@dataclass(frozen=True)
class ValidateRun:
    """A role map, its model, labelled images and settings that fit each other."""

    role_map: RoleMap
    """What is tested."""
    model: HookedCLIP
    """The model that it describes."""
    images: LabelledImages
    """Labelled with the concepts that are asked for, and no others."""
    config: ValidateConfig
    """How."""

    @classmethod
    def open(
        cls,
        role_map: RoleMap | str | os.PathLike[str],
        model: HookedCLIP | str | None,
        images: LabelledImages | str | os.PathLike[str] | None,
        config: ValidateConfig,
        *,
        count: int | None = None,
        template: str | None = None,
        groups: str | Sequence[Any] | None = None,
        device: str = "auto",
    ) -> ValidateRun:
        """Everything by name or as an object; what can be refused without the model is refused before it is loaded."""
        scored = RoleMap.of(role_map)
        opened = _open_images(images, model, scored, config, count, template, groups)
        labelled = choose_concepts(opened, config.concepts)
        check_labels(scored, labelled)
        clip = open_model(scored, model, device)
        ready = labelled if isinstance(images, LabelledImages) else labelled.with_preprocess(preprocess_of(clip))
        return cls(scored, clip, ready, config)

    def fold(self, batch: int = 64, workers: int = 0, progress: Progress | None = None) -> Folded:
        """One pass for the direct effect, or one, and the forwards of every set, for the total effect."""
        announce(self.reading, self.images.blocking)
        sets = HeadSets.draw(self.role_map, self.config, self.images.names)
        texts = ValueTexts.embed(self.model, self.images.concepts)
        measure = self._fold_direct if self.config.effect == "direct" else self._fold_total
        return measure(sets, texts, batch, workers, progress)

    @cached_property
    def reading(self) -> Reading:
        """How the images are read."""
        return describe_images(self.images.images, self.images.name, reader=self.model)

    def _judged(self) -> Judged:
        """All images, each of which judges."""
        everyone = np.ones(len(self.images), bool)
        return Judged(self.role_map, self.images.name, everyone, self.config.allow_overlap)

    def _fold_direct(
        self, sets: HeadSets, texts: ValueTexts, batch: int, workers: int, progress: Progress | None
    ) -> Folded:
        layers, how, judged = self.role_map.layers, self.config, self._judged()
        record = HeadRecord.collect(self.model, self.images, layers, batch, workers, progress, judged)
        overlap = judged.finish()
        options: dict[str, Any] = {"mode": how.mode, "seed": how.seed, "blocks": how.blocks}
        measure = partial(direct_effects, self.model, self.images, record, texts, layers, **options)
        return self._measure(measure, sets, self._describe(len(record.index), record.broken), overlap)

    def _fold_total(
        self, sets: HeadSets, texts: ValueTexts, batch: int, workers: int, progress: Progress | None
    ) -> Folded:
        layers, how, tower = self.role_map.layers, self.config, self.model.visual
        if tower.pooling and tower.layers in layers and how.mode != "zero":
            raise InputError(
                "mode: the total effect of a pooling head's heads is known for zero alone, or take effect direct"
            )
        pool, judged = _POOL if how.mode == "resample" else 0, self._judged()
        reference = HeadReference.collect(
            self.model, self.images.images, layers, pool, how.seed, batch, workers, judged
        )
        overlap = judged.finish()
        options: dict[str, Any] = {"mode": how.mode, "seed": how.seed, "blocks": how.blocks, "batch": batch}
        options |= {"workers": workers, "progress": progress, "reference": reference}
        measure = partial(total_effects, self.model, self.images, texts, **options)
        return self._measure(measure, sets, self._describe(reference.images, reference.broken), overlap)

    def _measure(
        self, effects: Callable[..., EffectSums], sets: HeadSets, images: ImagesInfo, overlap: float
    ) -> Folded:
        """The margins with every set cut, and with some of them scaled where doses are asked for."""
        sums, doses = effects(sets=sets.sets), None
        if self.config.doses:
            scaled = DoseSets.of(sets, self.config.doses)
            doses = scaled, effects(sets=scaled.sets, factors=scaled.factors)
        return Folded(sets, sums, images, overlap, doses)

    def _describe(self, count: int, broken: tuple[str, ...]) -> ImagesInfo:
        return ImagesInfo(self.images.name, count, broken, reading=self.reading.to_dict())

    def explain(self, folded: Folded) -> Validation:
        """Costs, ratios, intervals and p-values, from the sums alone."""
        costs = BlockCosts(folded.sets, self.images.names, folded.sums, self.config)
        tower = self.model.visual
        acting = {"blocks": len(folded.sums.count), "blocks_by": self.images.blocking.how}
        return Validation(
            model=ModelInfo(self.model.model_name, self.role_map.model.weights_hash, tower.layers, tower.heads),
            role_map=hashlib.sha256(self.role_map.to_json().encode()).hexdigest(),
            images=folded.images,
            overlap=folded.overlap,
            settings=record_ablation({**self.config.to_dict(), **acting}),
            concepts=self._intact(costs),
            tests=concept_tests(costs),
            heads=head_effects(costs),
            p_value=joint_p_value(costs, self.config.seed),
            correlations=correlate(costs, self.config.seed),
            doses=dose_curves(*folded.doses, self.images.names, self.config) if folded.doses else (),
        )

    def _intact(self, costs: BlockCosts) -> tuple[IntactConcept, ...]:
        """The labelled concepts before anything is cut."""
        count, right = costs.counts(), costs.shares_right()[0]
        margin = costs.margins()[0] / count
        return tuple(
            IntactConcept(
                concept.name, len(concept.values), int(count[column]), short(margin[column]), short(right[column])
            )
            for column, concept in enumerate(self.images.concepts)
        )


def write(validation: Validation, folder: str | os.PathLike) -> None:
    """validation.json and validation.csv: both or, where writing fails, none."""
    with replacing_together(folder, FILES[0]) as staging:
        for name in FILES:
            validation.save(staging / name)


def _open_images(
    images: LabelledImages | str | os.PathLike[str] | None,
    model: HookedCLIP | str | None,
    scored: RoleMap,
    config: ValidateConfig,
    count: int | None,
    template: str | None,
    groups: str | Sequence[Any] | None,
) -> LabelledImages:
    """The images by name, not yet as the model wants them; rendered scenes with a bundled model."""
    if isinstance(images, LabelledImages):
        if count is not None or template is not None:
            raise InputError("count and template choose what images given by name are read as; these are open already")
        return images.with_groups(groups)
    name = model if isinstance(model, str) else scored.model.name if model is None else model.model_name
    if images is None and name not in BUNDLED:
        raise InputError(
            "images: this model needs labelled ones, a folder CONCEPT/VALUE/ or a CSV file with a column path and one "
            "column a concept; give --images"
        )
    return open_labelled(str(images or "shapes"), None, count, config.seed, template or TEMPLATE, groups)
