"""A role map under concepts that are found in the picked texts: `headroles score --concepts discover`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from headroles.heads.moments import HeadMoments
from headroles.images.images import Images
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.config import ScoreConfig
from headroles.roles.discovery import Discovery, DiscoveryConfig, Encoder, discover
from headroles.roles.picks import pick_texts
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import ImagesInfo, RoleMap
from headroles.roles.score_texts import collect_moments, explain


def score_discovered(
    model: HookedCLIP,
    images: Images,
    name: str,
    texts: Sequence[str],
    encoder: Encoder,
    config: ScoreConfig | None = None,
    discovery: DiscoveryConfig | None = None,
    *,
    source: str = "images",
    **options: Any,
) -> tuple[RoleMap, HeadMoments, Discovery]:
    """The role map of a model over images in texts without concepts: those are clusters of the texts that heads pick.

    `name` is that of the texts, `options` those of `collect_moments`. The discovered bank gives
    the same role map again, apart from its settings.
    """
    model.check_text()
    config, discovery = config or ScoreConfig(), discovery or DiscoveryConfig()
    moments, seen = collect_moments(model, images, config, **options)
    info = ImagesInfo(source, seen.read, seen.broken_names, seen.sketch)
    role_map, found = explain_discovered(model, moments, name, texts, encoder, config, discovery, info)
    return role_map, moments, found


def explain_discovered(
    model: HookedCLIP,
    moments: HeadMoments,
    name: str,
    texts: Sequence[str],
    encoder: Encoder,
    config: ScoreConfig,
    discovery: DiscoveryConfig,
    images: ImagesInfo,
) -> tuple[RoleMap, Discovery]:
    """Pick texts for the heads of `moments`, find concepts in them, and describe the heads in these."""
    unlabelled = ProbeBank(name, tuple(texts), ("",) * len(texts))
    # Only the picks over all images are clustered, so one resample and few rotations are drawn and left.
    picks = pick_texts(model, moments, unlabelled, dataclasses.replace(config, bootstraps=1, null_draws=19))
    picked = picks.whole.index[0].unique().tolist()
    found = discover(name, texts, encoder, discovery, [index for index in picked if index >= 0])
    role_map = explain(model, moments, found.bank, config, images)
    settings = {**role_map.settings, "discovery": dataclasses.asdict(discovery)}
    return dataclasses.replace(role_map, settings=settings), found
