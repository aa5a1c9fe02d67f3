"""score(): the role map of a model, in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from headroles.checks import make_config, typed
from headroles.errors import InputError
from headroles.images.images import Images
from headroles.images.labelled import LabelledImages
from headroles.jobs.align import align_loaded
from headroles.jobs.score_job import ScoreJob
from headroles.jobs.ways import open_way
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.words import join_names
from headroles.passes.bars import bar_unless
from headroles.passes.image_pass import Part, Progress
from headroles.roles.config import CONFIGS, ImageScoreConfig, ScoreConfig, WeightScoreConfig
from headroles.roles.discovery import DiscoveryConfig, Encoder
from headroles.roles.doubts import tell_doubts
from headroles.roles.presets import apply_preset
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import RoleMap

_NAMES = (
    "images", "probes", "texts", "texts_from", "align_to",
    "concepts", "preset", "discovery", "encoder", "source", "count", "column", "split", "groups",
    "device",
    "batch", "workers", "strict", "progress",
)  # fmt: skip
"""Arguments of `score` that are no settings: a misspelt one arrives among these."""


@typed
def score(
    model: str | HookedCLIP = "shapes",
    images: str | os.PathLike | Images | LabelledImages | None = None,
    probes: str | os.PathLike | ProbeBank | None = None,
    *,
    by: str = "texts",
    texts: str | os.PathLike | Sequence[str] | None = None,
    texts_from: str | None = None,
    align_to: str | HookedCLIP | None = None,
    concepts: str | None = None,
    preset: str | None = None,
    config: ScoreConfig | ImageScoreConfig | WeightScoreConfig | None = None,
    discovery: DiscoveryConfig | None = None,
    encoder: Encoder | None = None,
    source: str | None = None,
    count: int | None = None,
    column: str | None = None,
    split: str | None = None,
    key: str | None = None,
    groups: str | Sequence[Any] | None = None,
    device: str = "auto",
    batch: int | None = None,
    workers: int | None = None,
    strict: bool = False,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> RoleMap:
    """Turn images into a role map: what does each head of this model do?

    `model`: a name, folder, file or hub id, or a loaded HookedCLIP. `images`: a folder, CSV, tar or parquet file,
    "shapes" for rendered scenes (None), or images that are open; with `by` "images" they need labels, and with `by`
    "weights" there need be none, but the mean of their embeddings helps. `probes`: a bank's name,
    a CSV file or a ProbeBank; None: that of the shapes world for a bundled model, else the general one. `concepts`:
    those of the "bank" (None), or "discover" them in the texts that heads pick (`discovery`, `encoder`). `preset`: all
    definitions of a paper at once, "textspan" or "dear" (`headroles.roles.presets`); a setting that contradicts it is
    refused.

    `tower="text"` scores the heads of the text tower instead, by texts or by weights; by texts, `texts` go in: a file
    of one a line, a CSV file with the column text, a list, or None for those of `probes`.

    `texts_from`: the CLIP that a vision tower without texts comes from; `align_to`: any CLIP, to whose embedding a map
    is learned on the images first (`headroles.align`).

    `settings` are fields of ScoreConfig (by images ImageScoreConfig, by weights WeightScoreConfig), such as
    `layers="all"`; or give `config`.
    `source` names the images in the result; `count`, `column`, `split` and `key` choose among images given by name.
    `groups`: images that belong together, such as the frames of a film, and are drawn together for intervals: a column
    of a CSV or parquet file or a data set, "folder" for the folder of each file, or one label an image.
    `batch` and `workers`: None for what the device takes; `strict` refuses a broken image instead of leaving it out.
    `progress` is called with images done and in all; None: a bar in a terminal or a notebook; False: none.

    Raises InputError for whatever does not fit, before a large model is loaded where that can be told.
    """
    if preset is not None:
        _check_preset(by, config)
        asked = settings if concepts is None else {**settings, "concepts": concepts}
        settings |= apply_preset(preset, asked)
        concepts = settings.pop("concepts", concepts)
    chosen = make_config(CONFIGS.get(by, ScoreConfig), config, settings, also=_NAMES)
    if images is None and by != "weights" and chosen.tower == "visual":
        images = "shapes"
    job = ScoreJob(
        model=_with_words(model, texts_from, align_to),
        align_to=align_to,
        images=images,
        source=source,
        count=count,
        column=column,
        split=split,
        key=key,
        groups=groups,
        by=by,
        probes=probes,
        texts=texts,
        concepts=concepts or "bank",
        encoder=encoder,
        settings=vars(chosen),
        discovery=vars(discovery) if discovery else {},
        batch=batch,
        workers=workers,
        strict=strict,
    )
    if align_to is not None:
        with bar_unless(progress, "aligning") as shown:
            job = align_loaded(job, device, shown)
    way = open_way(job, device)
    way.subject.announce()
    options = job.pass_options(way.subject.model.device, Part())
    with bar_unless(progress, f"scoring {way.subject.model.model_name}") as shown:
        sums, seen = way.fold(options, fit=batch is None, progress=shown)
    role_map = way.explain(sums, seen).role_map
    tell_doubts(role_map)
    return role_map


def _with_words(model: str | HookedCLIP, texts_from: str | None, align_to: str | HookedCLIP | None) -> str | HookedCLIP:
    if texts_from is None:
        return model
    if align_to is not None:
        raise InputError("texts_from and align_to exclude each other; give one of them")
    if isinstance(model, HookedCLIP):
        raise InputError("texts_from: the model is loaded already; load it with texts_from, or give its name")
    return join_names(model, texts_from)


def _check_preset(by: str, config: Any) -> None:
    """InputError where a preset has no place."""
    if by != "texts":
        raise InputError(f"preset: the papers describe heads by texts; leave it out with by {by}")
    if config is not None:
        raise InputError("preset: give either preset or config, not both; more settings go beside a preset by name")
