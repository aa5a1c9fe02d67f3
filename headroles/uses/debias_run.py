"""DebiasRun: one measurement in four steps. Open what it needs, fold the images in, explain, write learned factors."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headroles.errors import InputError
from headroles.files.places import check_free, check_writable
from headroles.heads.names import Part
from headroles.heads.weights import HeadWeights, LearnConfig
from headroles.images.grouped import SPLITS, GroupedImages, check_splits, open_grouped
from headroles.images.notes import warn
from headroles.images.reading import Reading, announce, describe_images
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.judged import Judged
from headroles.roles.own_model import open_model, preprocess_of
from headroles.roles.role_heads import Heads, choose_parts
from headroles.roles.role_map import RoleMap
from headroles.uses.cue_bench import CueBench, DebiasConfig, needed_splits
from headroles.uses.debiased import Debiased
from headroles.uses.worst_group import measure_debias, measure_weights

LEARNED = "learned factors"


@dataclass(frozen=True)
class Damping:
    """What is done to which heads: one of three."""

    heads: tuple[Part, ...] = ()
    """These are damped;"""
    weights: HeadWeights | None = None
    """or these factors are applied;"""
    learn: LearnConfig | None = None
    """or factors are learned, so."""
    file: Path | None = None
    """Where factors come from, or go to."""
    by_map: bool = False
    """Whether the role map chose the heads."""

    @classmethod
    def open(
        cls,
        role_map: RoleMap,
        heads: Heads | None,
        concept: str | None,
        any_role: bool,
        weights: HeadWeights | str | os.PathLike[str] | None,
        learn: LearnConfig | None,
        overwrite: bool,
    ) -> Damping:
        """InputError where not exactly one is given, or files lack, or are in the way."""
        by_name, given = heads is not None or concept is not None, weights is not None or learn is not None
        if by_name == given:
            raise InputError("heads: give one of heads or concept, weights, learn")
        if by_name:
            chosen = choose_parts(role_map, heads, concept, any_role)
            return cls(heads=tuple(each.part for each in chosen), by_map=concept is not None)
        if isinstance(weights, HeadWeights):
            if learn is not None:
                raise InputError("weights: with learn they are learned; give the file to write them to, or none")
            return cls(weights=weights)
        file = None if weights is None else Path(weights)
        if file is not None and learn is None:
            return cls(weights=HeadWeights.load(file), file=file)
        if file is not None:
            _check_file(file, overwrite)
        return cls(learn=learn, file=file)


def _check_file(file: Path, overwrite: bool) -> None:
    """InputError where learned factors cannot go there."""
    if file.suffix != ".json":
        raise InputError(f"learn: the file must end in .json, got {file.name}")
    if not overwrite:
        check_free(file, option="learn")
    check_writable(file.parent, option="learn")


def _check_together(grouped: GroupedImages) -> None:
    """InputError where all test images belong together; says where they are few groups."""
    if grouped.together is not None:
        remark = grouped.together.select(np.flatnonzero(grouped.splits == "test")).remark()
        if remark:
            warn(remark)


@dataclass(frozen=True)
class DebiasRun:
    """A role map, its model, a task with groups, and what is done to heads."""

    role_map: RoleMap
    """Whose heads are damped."""
    model: HookedCLIP
    """The model that it describes."""
    task: GroupedImages
    """Classes, and a cue that should not count."""
    damping: Damping
    """What is done."""
    config: DebiasConfig
    """How it is judged."""

    @classmethod
    def open(
        cls,
        role_map: RoleMap | str | os.PathLike[str],
        task: GroupedImages | str | os.PathLike[str],
        config: DebiasConfig,
        *,
        heads: Heads | None,
        concept: str | None,
        any_role: bool,
        weights: HeadWeights | str | os.PathLike[str] | None,
        learn: LearnConfig | None,
        overwrite: bool,
        model: HookedCLIP | str | None,
        device: str,
        groups: str | Sequence[Any] | None = None,
    ) -> DebiasRun:
        """Everything by name or as an object; what can be refused without the model is refused before it is loaded."""
        scored = RoleMap.of(role_map)
        damping = Damping.open(scored, heads, concept, any_role, weights, learn, overwrite)
        if isinstance(task, GroupedImages):
            grouped = task.with_groups(groups)
        else:
            grouped = open_grouped(str(task), None, config.seed, groups)
        check_splits(grouped, needed_splits(config))
        clip = open_model(scored, model, device)
        _check_together(grouped)
        ready = grouped if isinstance(task, GroupedImages) else grouped.with_preprocess(preprocess_of(clip))
        return cls(scored, clip, ready, damping, config)

    @cached_property
    def reading(self) -> Reading:
        """How the images are read."""
        counts = Counter(self.task.splits.tolist())
        split = ", ".join(f"{counts[name]} {name}" for name in SPLITS if counts[name])
        reader = self.model if self.config.classifier == "prompts" else None
        return describe_images(self.task.images, self.task.name, split=split, reader=reader)

    def fold(self, batch: int = 64, workers: int = 0) -> CueBench:
        """One pass over all images."""
        announce(self.reading)
        tests = self.task.splits == "test"
        judged = Judged(self.role_map, self.task.name, tests, self.config.allow_overlap)
        return CueBench(
            self.model, self.role_map, self.task, self.config, batch, workers, judged if self.damping.by_map else None
        )

    def explain(self, bench: CueBench) -> Debiased:
        """The worst group before and after, beside other heads; with `learn`, factors are learned first."""
        found = self._measure(bench)
        return dataclasses.replace(found, reading=self.reading.to_dict())

    def _measure(self, bench: CueBench) -> Debiased:
        how = self.damping
        weights = bench.learn(how.learn) if how.learn else how.weights
        if weights is None:
            return measure_debias(bench, how.heads)
        found = measure_weights(bench, weights, str(how.file or LEARNED))
        return dataclasses.replace(found, learned=weights) if how.learn else found

    def write(self, found: Debiased) -> None:
        """What was learned, where a file for it was named."""
        if found.learned is not None and self.damping.file is not None:
            found.learned.save(self.damping.file)
