"""A scoring run from plain names: opens the model and the images that a command line speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headroles.hooked_clip import HookedCLIP
from headroles.images import Images
from headroles.models import load
from headroles.moments import HeadMoments
from headroles.probes import ProbeBank
from headroles.role_map import RoleMap
from headroles.score import ScoreConfig, score
from headroles.sources import find_source
from headroles.sources.stream import StreamedImages


@dataclass(frozen=True)
class ScoreRun:
    """A model, images and settings, ready to score."""

    model: HookedCLIP
    images: Images | StreamedImages
    source: str
    """The images' name in the role map."""
    config: ScoreConfig

    def score(self, bank: ProbeBank, **options: Any) -> tuple[RoleMap, HeadMoments]:
        """`headroles.score.score` of this run; `options` as there."""
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
    """Load a model by name and open images as `headroles.sources.find_source` knows them.

    `settings` are fields of ScoreConfig.
    """
    config = ScoreConfig(**(settings or {}))
    # Wrong images should be named before a large model is loaded.
    source = find_source(images, count=count, column=column, split=split, seed=config.seed)
    clip = load(model, device)
    return ScoreRun(clip, source.open(clip.processor), source.name, config)
