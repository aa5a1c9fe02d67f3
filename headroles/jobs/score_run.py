"""A scoring run from plain names: opens the model and the images that a command line speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headroles.heads.moments import HeadMoments
from headroles.images.images import Images
from headroles.images.sources import find_source
from headroles.images.sources.stream import StreamedImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import RoleMap
from headroles.roles.score import ScoreConfig, score


@dataclass(frozen=True)
class ScoreRun:
    """A model, images and settings, ready to score."""

    model: HookedCLIP
    images: Images | StreamedImages
    source: str
    """The images' name in the role map."""
    config: ScoreConfig

    def score(self, bank: ProbeBank, **options: Any) -> tuple[RoleMap, HeadMoments]:
        """`headroles.roles.score.score` of this run; `options` as there."""
        return score(self.model, self.images, bank, self.config, source=self.source, **options)


def open_run(
    model: str,
    images: str,
    count: int | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    column: str | None = None,
    split: str | None = None,
) -> ScoreRun:
    """Load a model by name and open images as `headroles.images.sources.find_source` knows them.

    `settings` are fields of ScoreConfig.
    """
    config = ScoreConfig(**(settings or {}))
    # Wrong images should be named before a large model is loaded.
    source = find_source(images, count=count, column=column, split=split, seed=config.seed)
    clip = load(model, device)
    return ScoreRun(clip, source.open(clip.processor), source.name, config)
