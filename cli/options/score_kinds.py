"""What `headroles score` does besides naming heads with a labelled bank: labelled images, discovered concepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headroles.heads.value_moments import ValueMoments
    from headroles.jobs.score_job import Scored
    from headroles.roles.discovery import Discovery

_DISCOVER = ("encoder", "noise", "min_cluster_size")
_TEXTS = ("weights", "selection", "prior_correction", "constants", "rank", "span_rank")
_WORDS = ("probes", "texts_per_head", "center_texts", "null_draws", "align_to")
_WEIGHTS = ("texts_per_direction", "coherence", "reading", "directions_per_head")
_DRAWN = ("bootstraps", "precision", "shard")
_IMAGES = ("count", "column", "split", "key", "groups", "batch", "workers", "strict", "resume")
"""What is of no use where no image is read."""
_BOUND = 0.3
"""Cramer's V from which labels are named as dependent."""
_NAMED = 32
"""Letters of a discovered concept's name in the list."""


def fill_preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with what a preset sets, and scenes for images where some are needed; UsageError for a preset that
    describes heads otherwise than by texts."""
    from headroles.roles.presets import apply_preset

    filled = {name: value for name, value in given.items() if name != "preset"}
    if given["images"] is None and given["by"] != "weights" and given["tower"] != "text":
        filled["images"] = "shapes"
    if given["preset"]:
        if given["by"] != "texts":
            raise click.UsageError("--as has no effect here; it belongs to --by texts")
        filled |= apply_preset(given["preset"], {name: value for name, value in given.items() if value is not None})
    return {**filled, "concepts": filled["concepts"] or "bank"}


def check_placed(given: Mapping[str, object]) -> None:
    """UsageError for an option of `headroles score` that would have no effect beside the others."""
    by, concepts = given["by"], given["concepts"]
    if given["texts_from"] and given["align_to"]:
        raise click.UsageError("--texts-from and --align-to exclude each other; give one of them")
    if by == "images" and concepts == "discover":
        raise click.UsageError("--concepts discover clusters texts; leave it out with --by images, whose labels count")
    if by == "weights" and concepts == "discover":
        raise click.UsageError("--concepts discover clusters texts that heads pick over images; it needs --by texts")
    for names, idle, home in (
        (_TEXTS, by != "texts", "--by texts"),
        (_WORDS, by == "images", "--by texts"),
        (("shares", "sharing"), by != "images", "--by images"),
        (_WEIGHTS, by != "weights", "--by weights"),
        (_DRAWN, by == "weights", "--by texts and --by images"),
        (("texts",), by != "texts" or given["tower"] != "text", "--by texts --tower text"),
        (_IMAGES, given["images"] is None, "images (--images)"),
        (_DISCOVER, concepts != "discover", "--concepts discover"),
    ):
        wrong = [name for name in names if given.get(name) not in (None, False)]
        if idle and wrong:
            raise click.UsageError(f"--{wrong[0].replace('_', '-')} has no effect here; it belongs to {home}")


def report_variant(scored: Scored) -> None:
    """What a user should know before the roles: the concepts that were found, or labels that depend on each other."""
    from headroles.heads.value_moments import ValueMoments

    if scored.discovery:
        _report_discovery(scored.discovery)
    if scored.role_map and isinstance(scored.moments, ValueMoments):
        _report_dependence(scored.moments, scored.role_map.settings["shares"])


def _report_discovery(found: Discovery) -> None:
    click.echo(f"discovered {len(found.clusters)} concepts in {found.clustered} picked texts (central texts):")
    for cluster in found.clusters:
        mark = "core" if cluster.core else "    "
        click.echo(f"  {cluster.name[:_NAMED]:<{_NAMED}} {mark} {cluster.texts:>4} texts  {'; '.join(cluster.central)}")
    click.echo(f"{len(found.noise)} of the texts lie in no cluster (--noise says what becomes of them)")


def _report_dependence(moments: ValueMoments, shares: str) -> None:
    from headroles.roles.explained import dependence

    found, names = dependence(moments), [name for name, _ in moments.concepts]
    advice = "what both explain is credited to neither" if shares == "unique" else "try --shares unique"
    for one, other in zip(*(found > _BOUND).nonzero(), strict=True):
        if one < other:
            bound = f"Cramer's V {found[one, other]:.2f}"
            click.echo(f"labels {names[one]} and {names[other]} depend on each other ({bound}): {advice}", err=True)
