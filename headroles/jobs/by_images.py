"""Scoring by the labels of images: no text comes in between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headroles.checks import make_config
from headroles.heads.value_moments import ValueMoments
from headroles.images.labelled import LabelledImages
from headroles.jobs.output import write_results
from headroles.jobs.score_job import Described, ScoreJob
from headroles.jobs.subject import Subject, open_labels, open_model
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen
from headroles.passes.value_pass import fold_values, hash_labels
from headroles.roles.config import ImageScoreConfig
from headroles.roles.role_map import ModelInfo
from headroles.roles.score_images import check_concepts, explain_values


@dataclass(frozen=True)
class ByImages:
    """Heads are described by the labels that their outputs follow."""

    subject: Subject
    config: ImageScoreConfig
    labelled: LabelledImages | None
    """None where shards have read the images."""

    @classmethod
    def open(cls, job: ScoreJob, device: str, read: bool = True) -> ByImages:
        """Find the labelled images, load the model; unless `read`, the images are left alone."""
        config = make_config(ImageScoreConfig, None, job.settings)
        if not read:
            model = open_model(job, config, device)
            return cls(Subject(model, None, str(job.source), reads_texts=False, read=job.reading), config, None)
        labelled = open_labels(job, config.seed)
        check_concepts(labelled)
        model = open_model(job, config, device)
        labelled.images.preprocess = model.processor
        subject = Subject(model, labelled.images, job.source or labelled.name, labelled.blocking, reads_texts=False)
        return cls(subject, config, labelled)

    @property
    def identity(self) -> dict[str, str]:
        """What shards share beside model, images and settings."""
        return {"the labels": hash_labels(self.labelled)} if self.labelled else {}

    def fold(self, options: PassOptions, **more: Any) -> tuple[ValueMoments, Seen]:
        """Value moments of this process's part of the images; `more` as in `headroles.passes.value_pass`."""
        assert self.labelled is not None, "shards have read the images"
        model, config = self.subject.model, self.config
        layers, precision = config.resolve_layers(model), config.precision
        return fold_values(model, self.labelled, layers, config.blocks, options, precision=precision, **more)

    def explain(self, moments: ValueMoments, seen: Seen) -> Described:
        """The role map by labels."""
        model, images = self.subject.model, self.subject.describe_images(seen)
        info = ModelInfo(model.model_name, moments.weights_hash, model.visual.layers, model.visual.heads)
        return Described(replace(explain_values(moments, self.config, info, images), words=model.words))

    def write(self, found: Described, moments: ValueMoments, folder: Path) -> tuple[Path, ...]:
        """Role map and value moments, each in one step."""
        return write_results(found.role_map, moments, folder)
