"""Scoring by texts without concepts: these are found in the texts that heads pick."""

from __future__ import annotations

import hashlib
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
from headroles.roles.discovery import DiscoveryConfig, Encoder, load_encoder
from headroles.roles.probes import ProbeBank, load_texts
from headroles.roles.score_discovered import explain_discovered


@dataclass(frozen=True)
class ByDiscovery:
    """Heads are described by texts that span their outputs, under concepts that are clusters of these texts."""

    subject: Subject
    config: ScoreConfig
    name: str
    """The texts' name."""
    texts: tuple[str, ...]
    encoder: Encoder
    discovery: DiscoveryConfig

    @classmethod
    def open(cls, job: ScoreJob, device: str, read: bool = True) -> ByDiscovery:
        """Read the texts, load encoder and model, find the images; unless `read`, the images are left alone."""
        config = make_config(ScoreConfig, None, job.settings)
        discovery = make_config(DiscoveryConfig, None, job.discovery)
        name, texts = (job.bank.name, job.bank.texts) if isinstance(job.bank, ProbeBank) else load_texts(job.bank)
        encoder = job.encoder if job.encoder is not None else load_encoder(discovery.encoder)
        if config.tower == "text":
            subject: Subject = open_texts(job, config, device, name, texts)
        else:
            subject = open_subject(job, config, device, read)
        return cls(subject, config, name, texts, encoder, discovery)

    @property
    def identity(self) -> dict[str, str]:
        """What shards share beside model, images and settings."""
        return {"the bank": hashlib.sha256("\n".join(self.texts).encode()).hexdigest()}

    def fold(self, options: PassOptions, **more: Any) -> tuple[HeadMoments, Seen]:
        """Head moments of this process's part of the images; `more` as in `headroles.passes.moment_pass`."""
        return self.subject.fold_moments(self.config, options, **more)

    def explain(self, moments: HeadMoments, seen: Seen) -> Described:
        """The role map under discovered concepts, and these."""
        model, images = self.subject.model, self.subject.describe_images(seen)
        return Described(
            *explain_discovered(
                model, moments, self.name, self.texts, self.encoder, self.config, self.discovery, images
            )
        )

    def write(self, found: Described, moments: HeadMoments, folder: Path) -> tuple[Path, ...]:
        """Role map, moments, and the bank of the discovered concepts, each in one step."""
        bank = found.discovery.bank if found.discovery else None
        return write_results(found.role_map, moments, folder, bank)
