"""A scoring run from plain names: opens the model and the images that a command line speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.hooked_clip import HookedCLIP
from headroles.images import FolderImages, ImageFiles, ShapesImages, find_images
from headroles.models import load
from headroles.moments import HeadMoments
from headroles.probes import ProbeBank
from headroles.role_map import RoleMap
from headroles.score import ScoreConfig, score

SCENES = 2000
"""Rendered scenes where nothing else is asked for."""


@dataclass(frozen=True)
class ScoreRun:
    """A model, images and settings, ready to score."""

    model: HookedCLIP
    images: ImageFiles | ShapesImages
    source: str
    """The images' name in the role map."""
    config: ScoreConfig

    def score(self, bank: ProbeBank, **options: Any) -> tuple[RoleMap, HeadMoments]:
        """`headroles.score.score` of this run; `options` as there."""
        return score(self.model, self.images, bank, self.config, source=self.source, **options)


def open_run(
    model: str, images: str, count: int | None = None, settings: Mapping[str, Any] | None = None, device: str = "auto"
) -> ScoreRun:
    """Load a model by name and open "shapes" or a folder; `settings` are fields of ScoreConfig."""
    config = ScoreConfig(**(settings or {}))
    if images != "shapes":
        find_images(images)  # A wrong folder should say so before a large model is loaded.
    clip = load(model, device)
    if images == "shapes":
        return ScoreRun(clip, ShapesImages(clip.processor, count or SCENES, config.seed), "shapes", config)
    folder = Path(images)
    return ScoreRun(clip, FolderImages(folder, clip.processor, count), folder.resolve().name, config)
