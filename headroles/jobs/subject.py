"""What a scoring looks at: a model and images, given by name or as objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headroles.errors import InputError
from headroles.heads.moments import HeadMoments
from headroles.images.blocks import Blocking
from headroles.images.images import FolderImages, Images, Preprocess, ShapesImages
from headroles.images.labelled import LabelledImages, open_labelled
from headroles.images.notes import LOG
from headroles.images.reading import Reading, announce, describe_images, stop_if_looking
from headroles.images.sources.find import find_source
from headroles.images.sources.stream import StreamedImages
from headroles.jobs.score_job import ScoreJob
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.passes.image_pass import PassOptions
from headroles.passes.moment_pass import fold_moments
from headroles.passes.state import Seen, check_enough
from headroles.roles.config import RoleConfig, ScoreConfig
from headroles.roles.role_map import ImagesInfo


@dataclass(frozen=True)
class Subject:
    """A model and the images that it is scored on."""

    model: HookedCLIP
    images: Images | StreamedImages | None
    """None where shards have read them, or none are read."""
    source: str
    """The images' name in the role map."""
    blocking: Blocking | None = None
    """What decides each image's block; None where shards have read them."""
    reads_texts: bool = True
    """Whether the model reads texts beside them."""
    read: Mapping[str, Any] | None = None
    """How shards have read the images."""

    @property
    def opened(self) -> Images | StreamedImages:
        """The images, which this process reads."""
        assert self.images is not None, "shards have read the images"
        return self.images

    @cached_property
    def reading(self) -> Reading:
        """How the images are read."""
        reader = self.model if self.reads_texts else None
        return describe_images(self.opened, self.source, self.model.processor, reader=reader)

    def announce(self) -> Reading | None:
        """Say how the images are read, or that none is, as `headroles.images.reading.announce` does."""
        if self.images is not None:
            return announce(self.reading, self.blocking)
        LOG.info(f"no image is read: the heads of {self.model.model_name} are described by their weights")
        stop_if_looking()
        return None

    def fold_moments(self, config: ScoreConfig, options: PassOptions, **more: Any) -> tuple[HeadMoments, Seen]:
        """Head moments of this process's part of the images; `more` as in `headroles.passes.moment_pass`."""
        layers, more = config.resolve_layers(self.model), {"precision": config.precision, **more}
        more |= {"constants": config.constants, "blocking": self.blocking}
        return fold_moments(self.model, self.opened, layers, config.blocks, options, **more)

    def describe_images(self, seen: Seen) -> ImagesInfo:
        """The images as the role map names them; InputError where fewer than two were read."""
        check_enough(seen)
        reading = self.reading.to_dict() if self.read is None else self.read
        return ImagesInfo(self.source, seen.read, seen.broken_names, seen.sketch, reading)


def open_subject(job: ScoreJob, config: RoleConfig, device: str, read: bool) -> Subject:
    """The job's images and its model, which must read texts; unless `read`, the images are left alone.

    Wrong images are named before a large model is loaded.
    """
    name, images = _find_images(job, config.seed) if read else (str(job.source), None)
    model = open_model(job, config, device)
    model.check_text()
    if images is None:
        return Subject(model, None, name, read=job.reading)
    opened = images(model.processor)
    return Subject(model, opened, name, Blocking.of(opened, job.groups), read=job.reading)


def open_labels(job: ScoreJob, seed: int) -> LabelledImages:
    """The job's images with their labels; `headroles.images.labelled` says what they may be."""
    for name, given in (("column", job.column), ("split", job.split), ("key", job.key)):
        if given is not None:
            raise InputError(f"{name}: labelled images are a folder or a CSV path,CONCEPT...; leave it out")
    if isinstance(job.images, str | os.PathLike):
        return open_labelled(os.fspath(job.images), None, job.count, seed, groups=job.groups)
    _refuse_names(job)
    if not isinstance(job.images, LabelledImages):
        raise InputError(
            f"images: scoring by images needs labels, got {type(job.images).__name__}; give LabelledImages "
            "(headroles.open_labelled), shapes, a folder CONCEPT/VALUE/ or a CSV file"
        )
    return job.images.with_groups(job.groups)


def open_model(job: ScoreJob, config: RoleConfig, device: str) -> HookedCLIP:
    """The job's model; InputError where it has not all layers that are to be scored."""
    model = job.model if isinstance(job.model, HookedCLIP) else load(job.model, device)
    config.resolve_layers(model)
    if job.compile:
        config.tower_of(model).compile_mlps()
    return model


def _find_images(job: ScoreJob, seed: int) -> tuple[str, Callable[[Preprocess], Images | StreamedImages]]:
    """Name of the job's images, and what makes them of a model's preprocessing."""
    images = job.images
    if images is None:
        raise InputError("images: these heads are described over images; give some, or score by weights")
    if isinstance(images, str | os.PathLike):
        name = os.fspath(images)
        found = find_source(name, count=job.count, column=job.column, split=job.split, key=job.key, seed=seed)
        return job.source or found.name, found.open
    _refuse_names(job)
    if isinstance(images, LabelledImages):
        return job.source or images.name, lambda preprocess: images.images
    if not callable(getattr(images, "fingerprint", None)):
        raise InputError(
            f"images: expected a place, shapes, or images as headroles.FolderImages opens them, got a "
            f"{type(images).__name__}; put pictures into a folder, or list their paths in a CSV file"
        )
    return job.source or _name_of(images), lambda preprocess: images


def _refuse_names(job: ScoreJob) -> None:
    for name in ("count", "column", "split", "key"):
        if getattr(job, name) is not None:
            raise InputError(f"{name}: the images are opened already; leave it out, or give them by name")


def _name_of(images: Images) -> str:
    if isinstance(images, ShapesImages):
        return "shapes"
    return Path(images.folder).resolve().name if isinstance(images, FolderImages) else "images"
