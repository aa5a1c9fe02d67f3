"""Scoring by the texts of a bank, whose concepts are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.checks import make_config
from headroles.heads.moments import HeadMoments
from headroles.jobs.output import write_results
from headroles.jobs.score_job import Described, ScoreJob
from headroles.jobs.subject import Subject, open_subject
from headroles.jobs.text_subject import open_texts
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen
from headroles.roles.config import ScoreConfig
from headroles.roles.probes import ProbeBank
from headroles.roles.score_texts import explain


@dataclass(frozen=True)
class ByTexts:
    """Heads are described by the texts of a bank that span their outputs."""

    subject: Subject
    config: ScoreConfig
    bank: ProbeBank

    @classmethod
    def open(cls, job: ScoreJob, device: str, read: bool = True) -> ByTexts:
        """Read the bank, find the images, load the model; unless `read`, the images are left alone."""
        config = make_config(ScoreConfig, None, job.settings)
        bank = job.bank if isinstance(job.bank, ProbeBank) else ProbeBank.load(job.bank)
        if config.tower == "text":
            return cls(open_texts(job, config, device, bank.name, bank.texts), config, bank)
        return cls(open_subject(job, config, device, read), config, bank)

    @property
    def identity(self) -> dict[str, str]:
        """What shards share beside model, images and settings."""
        return {"the bank": self.bank.hash}

    def fold(self, options: PassOptions, **more: Any) -> tuple[HeadMoments, Seen]:
        """Head moments of this process's part of the images; `more` as in `headroles.passes.moment_pass`."""
        return self.subject.fold_moments(self.config, options, **more)

    def explain(self, moments: HeadMoments, seen: Seen) -> Described:
        """The role map in the bank's texts."""
        images = self.subject.describe_images(seen)
        return Described(explain(self.subject.model, moments, self.bank, self.config, images))

    def write(self, found: Described, moments: HeadMoments, folder: Path) -> tuple[Path, ...]:
        """Role map and moments, each in one step."""
        return write_results(found.role_map, moments, folder)
