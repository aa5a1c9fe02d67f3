"""Scoring by weights: no image is read, unless some are given for the mean of their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.checks import make_config
from headroles.errors import InputError
from headroles.jobs.output import write_results
from headroles.jobs.score_job import Described, ScoreJob
from headroles.jobs.subject import Subject, open_model, open_subject
from headroles.passes.image_pass import PassOptions
from headroles.passes.mean_pass import MeanEmbedding, fold_mean
from headroles.passes.state import Seen
from headroles.roles.config import WeightScoreConfig
from headroles.roles.probes import ProbeBank
from headroles.roles.score_weights import NO_IMAGES, explain_weights


@dataclass(frozen=True)
class ByWeights:
    """Heads are described by the texts that make up their singular directions."""

    subject: Subject
    config: WeightScoreConfig
    bank: ProbeBank

    @classmethod
    def open(cls, job: ScoreJob, device: str) -> ByWeights:
        """Read the bank, load the model, find the images if some are given."""
        if job.shard is not None:
            raise InputError("shard: weights are read in one go; leave it out with by weights")
        config = make_config(WeightScoreConfig, None, job.settings)
        bank = job.bank if isinstance(job.bank, ProbeBank) else ProbeBank.load(job.bank)
        if job.images is not None:
            if config.tower == "text":
                raise InputError("images: heads of the text tower see none; leave them out with tower text")
            return cls(open_subject(job, config, device, read=True), config, bank)
        model = open_model(job, config, device)
        model.check_text()
        return cls(Subject(model, None, NO_IMAGES.source), config, bank)

    @property
    def identity(self) -> dict[str, str]:
        """What shards would share; there are none."""
        return {"the bank": self.bank.hash}

    def fold(self, options: PassOptions, **more: Any) -> tuple[MeanEmbedding, Seen]:
        """The mean embedding of the images; nothing is read where there are none."""
        model = self.subject.model
        if self.subject.images is None:
            return MeanEmbedding.empty(model), Seen()
        return fold_mean(model, self.subject.images, options, **more)

    def explain(self, found: MeanEmbedding, seen: Seen) -> Described:
        """The role map in the bank's texts."""
        images = NO_IMAGES if self.subject.images is None else self.subject.describe_images(seen)
        role_map = explain_weights(self.subject.model, self.bank, self.config, mean=found.mean(), images=images)
        return Described(role_map)

    def write(self, found: Described, sums: MeanEmbedding, folder: Path) -> tuple[Path, ...]:
        """The role map, in one step."""
        return write_results(found.role_map, None, folder)
