"""Scoring runs from plain names: under discovered concepts, or by labelled images.

Whatever can be wrong with labels, texts or encoder is said before a large model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headroles.discovery import Discovery, DiscoveryConfig, Encoder, load_encoder
from headroles.hooked_clip import HookedCLIP
from headroles.labelled_images import LabelledImages, open_labelled
from headroles.models import load
from headroles.moments import HeadMoments
from headroles.probes import load_texts
from headroles.role_map import RoleMap
from headroles.score_discovered import score_discovered
from headroles.score_images import ImageScoreConfig, check_concepts, score_images
from headroles.score_run import ScoreRun, open_run
from headroles.value_moments import ValueMoments


@dataclass(frozen=True)
class ImageRun:
    """A model, labelled images and settings, ready to score."""

    model: HookedCLIP
    labelled: LabelledImages
    config: ImageScoreConfig

    def score(self, **options: Any) -> tuple[RoleMap, ValueMoments]:
        """`headroles.score_images.score_images` of this run; `options` as there."""
        return score_images(self.model, self.labelled, self.config, **options)


@dataclass(frozen=True)
class DiscoveredRun:
    """A scoring run, texts without concepts, and an encoder to find them with."""

    run: ScoreRun
    name: str
    """The texts' name."""
    texts: tuple[str, ...]
    encoder: Encoder
    discovery: DiscoveryConfig

    def score(self, **options: Any) -> tuple[RoleMap, HeadMoments, Discovery]:
        """`headroles.score_discovered.score_discovered` of this run; `options` as there."""
        run = self.run
        options = {"config": run.config, "discovery": self.discovery, "source": run.source, **options}
        return score_discovered(run.model, run.images, self.name, self.texts, self.encoder, **options)


def open_image_run(
    model: str, images: str, count: int | None = None, settings: Mapping[str, Any] | None = None, device: str = "auto"
) -> ImageRun:
    """Open labelled images ("shapes", a folder CONCEPT/VALUE/IMAGE or a CSV) and load a model by name.

    `settings` are fields of ImageScoreConfig.
    """
    config = ImageScoreConfig(**(settings or {}))
    labelled = open_labelled(images, None, count, config.seed)
    check_concepts(labelled)
    clip = load(model, device)
    labelled.images.preprocess = clip.processor
    return ImageRun(clip, labelled, config)


def open_discovered_run(
    model: str,
    images: str,
    probes: str,
    count: int | None = None,
    settings: Mapping[str, Any] | None = None,
    discovery: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> DiscoveredRun:
    """Read texts (a bank, or a CSV with a column text), load an encoder, then open a run as `open_run` does.

    `discovery` are fields of DiscoveryConfig.
    """
    config = DiscoveryConfig(**(discovery or {}))
    name, texts = load_texts(probes)
    encoder = load_encoder(config.encoder)
    return DiscoveredRun(open_run(model, images, count, settings, device), name, texts, encoder, config)
