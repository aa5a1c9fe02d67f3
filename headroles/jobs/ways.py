"""The ways to describe heads, each with the same four verbs: open, fold, explain, write.

A way is opened from a ScoreJob, where all that can be wrong with labels, texts or encoder is said before a large model
is loaded. A new way is one file beside these and one line of `open_way`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from headroles.errors import InputError
from headroles.jobs.by_discovery import ByDiscovery
from headroles.jobs.by_images import ByImages
from headroles.jobs.by_texts import ByTexts
from headroles.jobs.by_weights import ByWeights
from headroles.jobs.score_job import Described, HeadSums, ScoreJob
from headroles.jobs.subject import Subject
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import Seen
from headroles.roles.config import RoleConfig

KINDS = ("texts", "images", "weights")
"""What heads can be described by."""
CONCEPTS = ("bank", "discover")
"""Where the concepts of texts can come from."""


Sums = TypeVar("Sums", bound=HeadSums)


class Way(Protocol[Sums]):
    """One way to describe heads, opened."""

    @property
    def subject(self) -> Subject:
        """Model and images."""

    @property
    def config(self) -> RoleConfig:
        """Settings of the role map."""

    @property
    def identity(self) -> dict[str, str]:
        """What shards share beside model, images and settings, by what it is called."""

    def fold(self, options: PassOptions, **more: Any) -> tuple[Sums, Seen]:
        """The sums of this process's part of the images; `more` as in `headroles.passes.head_pass`."""

    def explain(self, sums: Sums, seen: Seen) -> Described:
        """What the sums over all images say of the heads."""

    def write(self, found: Described, sums: Sums, folder: Path) -> tuple[Path, ...]:
        """The files of the result, each in one step; returns them."""


def open_way(job: ScoreJob, device: str, read: bool = True) -> Way[Any]:
    """The way that a job asks for, opened; `read`: False leaves the images alone. InputError where there is none."""
    for name, given, known in (("by", job.by, KINDS), ("concepts", job.concepts, CONCEPTS)):
        if given not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {given!r}")
    if job.texts is not None and (job.by != "texts" or job.settings.get("tower") != "text"):
        raise InputError("texts: they go into the text tower: give them with tower text, by texts, or leave them out")
    if job.by == "images":
        if job.concepts == "discover":
            raise InputError("concepts: discover clusters texts; leave it out with by images, whose labels count")
        return ByImages.open(job, device, read)
    if job.by == "weights":
        if job.concepts == "discover":
            raise InputError("concepts: discover clusters texts that heads pick over images; leave it out by weights")
        return ByWeights.open(job, device)
    if job.concepts == "discover":
        return ByDiscovery.open(job, device, read)
    return ByTexts.open(job, device, read)
