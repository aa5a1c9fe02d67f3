"""What a scoring of a text tower looks at: a model, and texts in the place of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headroles.errors import InputError
from headroles.heads.ablation import refuse_ablation
from headroles.heads.moments import HeadMoments
from headroles.images.notes import LOG
from headroles.images.reading import stop_if_looking
from headroles.jobs.score_job import ScoreJob
from headroles.jobs.subject import Subject, open_model
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen
from headroles.passes.text_pass import fold_texts
from headroles.roles.config import RoleConfig, ScoreConfig
from headroles.roles.role_map import ImagesInfo
from headroles.roles.text_list import read_texts


@dataclass(frozen=True)
class TextSubject(Subject):
    """A model whose text tower is scored, and what goes into it."""

    texts: tuple[str, ...] = ()
    """At least two."""

    def announce(self) -> None:
        """Say what is read, as `Subject.announce`."""
        LOG.info(f"texts: {self.source}, {len(self.texts):,}, into the text tower; {self.model.describe_texts()}")
        stop_if_looking()

    def fold_moments(self, config: ScoreConfig, options: PassOptions, **more: Any) -> tuple[HeadMoments, Seen]:
        """Head moments of this process's part of the texts; `more` as in `headroles.passes.text_pass`."""
        layers, more = config.resolve_layers(self.model), {"precision": config.precision, **more}
        return fold_texts(self.model, self.texts, layers, config.blocks, options, **more)

    def describe_images(self, seen: Seen) -> ImagesInfo:
        """The texts as the role map names them."""
        return ImagesInfo(self.source, seen.read, (), reading={"texts": self.model.describe_texts()})


def open_texts(job: ScoreJob, config: RoleConfig, device: str, name: str, own: Sequence[str]) -> TextSubject:
    """The job's texts and its model; where the job names none, those of the bank that describes: `name` and `own`.

    InputError for whatever belongs to images alone, before a large model is loaded.
    """
    if job.images is not None:
        raise InputError("images: heads of the text tower see none; leave them out with tower text, or give texts")
    for option in ("shard", "count", "column", "split", "key", "groups"):
        if getattr(job, option) is not None:
            raise InputError(f"{option}: it belongs to images, and with tower text all texts are read; leave it out")
    refuse_ablation("heads of the text tower are scored, and heads of the vision tower cut")
    if isinstance(job.texts, str | os.PathLike):
        name, own = read_texts(job.texts)
    elif job.texts is not None:
        name, own = "texts", _check_texts(job.texts)
    return TextSubject(open_model(job, config, device), None, job.source or name, texts=tuple(own))


def _check_texts(texts: Sequence[str]) -> Sequence[str]:
    wrong = [each for each in texts if not isinstance(each, str) or not each.strip()]
    if wrong or len(texts) < 2:
        got = repr(wrong[0]) if wrong else f"{len(texts)}"
        raise InputError(f"texts: expected a file or at least two texts, none of them empty, got {got}")
    return texts
