"""align(): words for a vision tower that has none, by a linear map to a CLIP learned on unlabelled images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.images.images import Images
from headroles.images.notes import warn
from headroles.images.sources.find import find_source
from headroles.images.sources.stream import StreamedImages
from headroles.jobs.score_job import ScoreJob
from headroles.models.alignment import FACTS, AlignedMap, Alignment, check_alignable
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import open_model
from headroles.models.loading import announced
from headroles.models.words import Fit, Words
from headroles.passes.align_pass import PairPreprocess, fold_pairs, solve
from headroles.passes.bars import bar_unless
from headroles.passes.image_pass import Part, PassOptions, Progress, join_pass
from headroles.passes.processes import on_main, place, together
from headroles.passes.state import Seen

FOLDER = "alignment"
"""Where `headroles score` leaves the map, below its output: a folder that `--model` takes."""
_FEWEST = 50
"""Images without which no map is learned."""
_POOR = 0.3
"""Held-out R2 below which it is said that the map is poor."""


@dataclass(frozen=True)
class Pair:
    """A vision tower without words, a CLIP, and images for both."""

    vision: HookedCLIP
    """Read from."""
    clip: HookedCLIP
    """Mapped to."""
    images: Images | StreamedImages
    """As both want them."""
    source: str
    """The images' name."""

    @classmethod
    def open(cls, job: ScoreJob, device: str) -> Pair:
        """The job's model and images, and the CLIP that it is aligned to; InputError where these do not go together."""
        if job.by == "images" or job.shard or not isinstance(job.images, str | os.PathLike):
            _refuse(job)
        found = find_source(
            os.fspath(cast(str, job.images)), count=job.count, column=job.column, split=job.split, key=job.key,
            seed=job.settings.get("seed", 0),
        )  # fmt: skip
        vision, clip = _opened(job.model, device), _opened(job.align_to, device)
        check_alignable(vision, clip)
        return cls(vision, clip, found.open(PairPreprocess(vision.processor, clip.processor)), job.source or found.name)

    def fold(self, options: PassOptions, fit: bool, progress: Progress | None) -> tuple[dict[str, Tensor], Seen]:
        """Sums over this process's part of the images."""
        return fold_pairs(self.vision, self.clip, self.images, options, fit, progress)

    def solve(self, sums: Mapping[str, Tensor], seen: Seen) -> AlignedMap:
        """The map that the sums over all images give; InputError where they are too few, or it tells nothing."""
        if seen.read < _FEWEST:
            raise InputError(f"align-to: a map is learned from {_FEWEST} images at least, got {seen.read}; give more")
        found = solve(dict(sums))
        if not found.r2 > 0:
            raise InputError(
                f"align-to: the embedding of {self.vision.model_name} tells nothing of that of {self.clip.model_name} "
                f"on images that the map was not learned on (R2 {found.r2:.2f}); give more images, or other ones"
            )
        facts = {name: getattr(found, name) for name in ("count", "chosen_on", "judged_on", "ridge", "r2")}
        fit = Fit(images=self.source, cosine=found.cosine, mean_cosine=found.mean_cosine, **facts)
        if fit.r2 < _POOR:
            warn(
                f"the map to {self.clip.model_name} is poor (held-out R2 {fit.r2:.2f}), and so are the texts that "
                "heads are given by it; more images may help"
            )
        words = Words(self.clip.model_name, self.clip.weights_hash(), None, fit)
        kept = Alignment(self.vision.model_name, self.vision.weights_hash(), words, self.images.fingerprint())
        return AlignedMap(kept, found.weight.cpu(), found.bias.cpu())


@typed
def align(
    model: str | HookedCLIP,
    to: str | HookedCLIP,
    images: str | os.PathLike = "shapes",
    *,
    count: int | None = None,
    column: str | None = None,
    split: str | None = None,
    key: str | None = None,
    seed: int = 0,
    device: str = "auto",
    batch: int | None = None,
    workers: int | None = None,
    strict: bool = False,
    progress: Progress | bool | None = None,
) -> AlignedMap:
    """Learn the linear map from a vision tower's embedding to a CLIP's, by ridge regression on unlabelled images.

    `model`: a vision tower without texts, such as a DINOv2; `to`: a CLIP; both as `load` takes them, or loaded.
    `images` and what follows: as in `score`. The map's fidelity, on images that it was not learned on, is in
    `facts.words.fit`; `join(model, to)` gives a HookedCLIP with the CLIP's texts, and `save(folder)` makes a folder
    that `load` opens as one. Raises InputError where the two do not go together, or the map tells nothing.
    """
    job = ScoreJob(
        model=model, align_to=to, images=images, count=count, column=column, split=split, key=key, batch=batch,
        workers=workers, strict=strict, settings={"seed": seed},
    )  # fmt: skip
    pair = Pair.open(job, device)
    with bar_unless(progress, f"aligning {pair.vision.model_name}") as shown:
        return _learn(job, pair, shown)


def align_loaded(job: ScoreJob, device: str, progress: Progress | None) -> ScoreJob:
    """The job on its model with the words of `align_to`, all in memory."""
    pair = Pair.open(job, device)
    joined = _learn(job, pair, progress).join(pair.vision, pair.clip)
    return dataclasses.replace(job, model=joined, align_to=None)


def _learn(job: ScoreJob, pair: Pair, progress: Progress | None) -> AlignedMap:
    options = job.pass_options(pair.vision.device, Part())
    return pair.solve(*pair.fold(options, job.batch is None, progress))


def align_job(job: ScoreJob, output: Path, device: str, resume: bool, progress: Progress | None) -> ScoreJob:
    """The job on its model with the words of `align_to`: the map is learned by all processes and kept in `output`.

    With `resume`, one that is there already for the same models and images is taken.
    """
    folder = output / FOLDER
    pair = together(lambda: Pair.open(job, device))
    if not (resume and together(lambda: _is_learned(pair, folder))):
        process, processes = place()
        options = job.pass_options(pair.vision.device, Part(process=process, processes=processes))
        sums, seen = together(lambda: pair.fold(options, job.batch is None, progress))
        seen = join_pass(sums, seen)
        on_main(lambda: pair.solve(sums, seen).save(folder))
    joined = together(lambda: announced(AlignedMap.load(folder).join)(pair.vision, pair.clip, str(folder)))
    return dataclasses.replace(job, model=joined, align_to=None)


def look_aligned(job: ScoreJob, device: str) -> ScoreJob:
    """The job as far as it can be looked at before a map is learned: everything is opened and checked."""
    pair = Pair.open(job, device)
    return dataclasses.replace(job, model=pair.clip, align_to=None)


def _is_learned(pair: Pair, folder: Path) -> bool:
    if not (folder / FACTS).is_file():
        return False
    facts = AlignedMap.load(folder).facts
    there = (facts.vision_hash, facts.words.weights_hash, facts.images_hash)
    return there == (pair.vision.weights_hash(), pair.clip.weights_hash(), pair.images.fingerprint())


def _opened(model: Any, device: str) -> HookedCLIP:
    return model if isinstance(model, HookedCLIP) else open_model(str(model), device)[0]


def _refuse(job: ScoreJob) -> None:
    if job.by == "images":
        raise InputError("align-to: labelled images describe heads without texts; leave it out with by images")
    if job.shard:
        raise InputError(
            f"align-to: every shard would learn its own map; learn one in a single run, and give its OUTPUT/{FOLDER} "
            "as model to the shards"
        )
    if job.images is None:
        raise InputError("align-to: a map is learned on images; give --images, such as a folder of pictures")
    raise InputError("align-to: two models see each image in their own way; give images by name or place, not opened")
