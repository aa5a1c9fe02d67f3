"""Scoring runs from plain names: by texts of a bank, under discovered concepts, or by labelled images.

Each folds images into sums and explains these as a role map. Whatever can be wrong with labels, texts or encoder is
said before a large model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headroles.errors import InputError
from headroles.heads.moments import HeadMoments
from headroles.heads.value_moments import ValueMoments
from headroles.images.images import Images
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.sources.stream import StreamedImages
from headroles.jobs.score_run import ScoreRun, open_run
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.models.load import load
from headroles.passes.image_pass import PassOptions
from headroles.passes.moment_pass import fold_moments
from headroles.passes.state import Seen
from headroles.passes.value_pass import fold_values
from headroles.roles.discovery import Discovery, DiscoveryConfig, Encoder, load_encoder
from headroles.roles.probes import ProbeBank, load_texts
from headroles.roles.role_map import ImagesInfo, ModelInfo, RoleMap
from headroles.roles.score import ScoreConfig, explain
from headroles.roles.score_discovered import explain_discovered
from headroles.roles.score_images import ImageScoreConfig, check_concepts, explain_values


@dataclass(frozen=True)
class _TextRun:
    run: ScoreRun

    @property
    def model(self) -> HookedCLIP:
        """The model."""
        return self.run.model

    @property
    def images(self) -> Images | StreamedImages:
        """The images of the pass."""
        return self.run.images

    @property
    def source(self) -> str:
        """Their name in the role map."""
        return self.run.source

    @property
    def config(self) -> ScoreConfig:
        """Settings of the role map."""
        return self.run.config

    def fold(self, options: PassOptions, **more: Any) -> tuple[HeadMoments, Seen]:
        """`headroles.passes.moment_pass.fold_moments` of this run; `more` as there."""
        layers, config = _layers(self.model, self.config.layers), self.config
        return fold_moments(
            self.model, self.images, layers, config.blocks, options, precision=config.precision, **more
        )


@dataclass(frozen=True)
class BankRun(_TextRun):
    """A scoring run and a labelled bank."""

    bank: ProbeBank

    def explain(self, moments: HeadMoments, images: ImagesInfo) -> tuple[RoleMap, None]:
        """The role map; nothing is discovered."""
        return explain(self.model, moments, self.bank, self.config, images), None


@dataclass(frozen=True)
class DiscoveredRun(_TextRun):
    """A scoring run, texts without concepts, and an encoder to find them with."""

    name: str
    """The texts' name."""
    texts: tuple[str, ...]
    encoder: Encoder
    discovery: DiscoveryConfig

    def explain(self, moments: HeadMoments, images: ImagesInfo) -> tuple[RoleMap, Discovery]:
        """The role map under discovered concepts, and these."""
        return explain_discovered(
            self.model, moments, self.name, self.texts, self.encoder, self.config, self.discovery, images
        )


@dataclass(frozen=True)
class ImageRun:
    """A model, labelled images and settings."""

    model: HookedCLIP
    labelled: LabelledImages
    config: ImageScoreConfig

    @property
    def images(self) -> Images:
        """The images of the pass."""
        return self.labelled.images

    @property
    def source(self) -> str:
        """Their name in the role map."""
        return self.labelled.name

    def fold(self, options: PassOptions, **more: Any) -> tuple[ValueMoments, Seen]:
        """`headroles.passes.value_pass.fold_values` of this run; `more` as there."""
        layers, config = _layers(self.model, self.config.layers), self.config
        return fold_values(
            self.model, self.labelled, layers, config.blocks, options, precision=config.precision, **more
        )

    def explain(self, moments: ValueMoments, images: ImagesInfo) -> tuple[RoleMap, None]:
        """The role map by labels; nothing is discovered."""
        tower = self.model.visual
        info = ModelInfo(self.model.model_name, moments.weights_hash, tower.layers, tower.heads)
        return explain_values(moments, self.config, info, images), None


ProbeRun = BankRun | DiscoveredRun | ImageRun


def open_bank_run(probes: str, **run: Any) -> BankRun:
    """Read a bank, then `headroles.jobs.score_run.open_run`; `run` as there."""
    bank = ProbeBank.load(probes)
    return BankRun(_open_text_run(**run), bank)


def open_discovered_run(probes: str, discovery: Mapping[str, Any] | None = None, **run: Any) -> DiscoveredRun:
    """Read texts (a bank, or a CSV with a column text), load an encoder, then `headroles.jobs.score_run.open_run`.

    `discovery` are fields of DiscoveryConfig, `run` as there.
    """
    config = DiscoveryConfig(**(discovery or {}))
    name, texts = load_texts(probes)
    encoder = load_encoder(config.encoder)
    return DiscoveredRun(_open_text_run(**run), name, texts, encoder, config)


def open_image_run(
    model: str,
    images: str,
    count: int | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    column: str | None = None,
    split: str | None = None,
) -> ImageRun:
    """Open labelled images ("shapes", a folder CONCEPT/VALUE/IMAGE or a CSV) and load a model by name.

    `settings` are fields of ImageScoreConfig. InputError for `column` or `split`, which labels have no use for.
    """
    for name, given in (("column", column), ("split", split)):
        if given is not None:
            raise InputError(f"{name}: labelled images are a folder or a CSV path,CONCEPT...; leave it out")
    config = ImageScoreConfig(**(settings or {}))
    labelled = open_labelled(images, None, count, config.seed)
    check_concepts(labelled)
    clip = load(model, device)
    _layers(clip, config.layers)
    labelled.images.preprocess = clip.processor
    return ImageRun(clip, labelled, config)


def _open_text_run(**run: Any) -> ScoreRun:
    opened = open_run(**run)
    opened.model.check_text()
    _layers(opened.model, opened.config.layers)
    return opened


def _layers(model: HookedCLIP, layers: str) -> tuple[int, ...]:
    return resolve_layers(layers, model.visual.layers, model.visual.pooling)
