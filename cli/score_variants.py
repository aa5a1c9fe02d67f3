"""What `headroles score` does besides naming heads with a labelled bank: labelled images, discovered concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headroles.discovery import Discovery
    from headroles.moments import HeadMoments
    from headroles.probe_runs import DiscoveredRun, ImageRun
    from headroles.role_map import RoleMap
    from headroles.score_job import Scored
    from headroles.value_moments import ValueMoments

_DISCOVER = ("encoder", "noise", "min_cluster_size")
_TEXTS = ("probes", "texts_per_head", "weights", "selection", "prior_correction", "center_texts", "permutations")
_ONE_PASS = ("column", "split", "shard", "resume", "compile", "precision")
"""What only the pass of ordinary scoring knows."""
_BATCH = 64
"""Images a forward where nothing else is asked for."""
_BOUND = 0.3
"""Cramer's V from which labels are named as dependent."""
_NAMED = 32
"""Letters of a discovered concept's name in the list."""


def check_placed(by: str, concepts: str, given: Mapping[str, object]) -> None:
    """UsageError for an option that would have no effect."""
    if by == "images" and concepts == "discover":
        raise click.UsageError("--concepts discover clusters texts; leave it out with --by images, whose labels count")
    for names, idle, home in (
        (_TEXTS, by == "images", "--by texts"),
        (("shares",), by == "texts", "--by images"),
        (_DISCOVER, concepts != "discover", "--concepts discover"),
        (_ONE_PASS, by == "images" or concepts == "discover", "--by texts with --concepts bank"),
    ):
        wrong = [name for name in names if given.get(name) not in (None, False)]
        if idle and wrong:
            raise click.UsageError(f"--{wrong[0].replace('_', '-')} has no effect here; it belongs to {home}")


def run_variant(
    by: str,
    given: Mapping[str, Any],
    output: Path,
    *,
    device: str,
    overwrite: bool,
    progress: Callable[[int, int | None], None],
) -> Scored:
    """Score by images or with discovered concepts, write the results, and say what a user should know of them."""
    from headroles.output import check_output, write_results
    from headroles.score_job import Scored

    check_output(output, overwrite)
    own = {name: given[name] for name in ("model", "images", "count", "probes", "batch", "workers", "strict")}
    found = {name: given[name] for name in _DISCOVER}
    left = (*own, *found, *_ONE_PASS, "save_every")
    settings = {name: value for name, value in given.items() if name not in left and value is not None}
    bank = own["probes"] or ("shapes" if own["model"] == "shapes" else "general")
    run = open_variant(by, own["model"], own["images"], bank, own["count"], settings, found, device)
    options = {"batch": own["batch"] or _BATCH, "workers": own["workers"] or 0, "strict": own["strict"]}
    role_map, moments, *rest = run.score(**options, progress=progress)
    written = write_results(role_map, moments, output, *(discovery.bank for discovery in rest))
    report_variant(moments, role_map, *rest)
    return Scored(written, role_map, role_map.images.count, role_map.images.broken)


def open_variant(
    by: str,
    model: str,
    images: str,
    bank: str,
    count: int | None,
    settings: Mapping[str, object],
    discovery: Mapping[str, object],
    device: str,
) -> DiscoveredRun | ImageRun:
    """The run that the options ask for."""
    from headroles.probe_runs import open_discovered_run, open_image_run

    if by == "images":
        return open_image_run(model, images, count, settings, device)
    given = {name: value for name, value in discovery.items() if value is not None}
    return open_discovered_run(model, images, bank, count, settings, given, device)


def report_variant(moments: HeadMoments | ValueMoments, role_map: RoleMap, discovery: Discovery | None = None) -> None:
    """What a user should know before the roles: the concepts that were found, or labels that depend on each other."""
    if discovery:
        _report_discovery(discovery)
    if role_map.probe_kind == "image":
        _report_dependence(moments, role_map.settings["shares"])


def _report_discovery(found: Discovery) -> None:
    click.echo(f"discovered {len(found.clusters)} concepts in {found.clustered} picked texts (central texts):")
    for cluster in found.clusters:
        mark = "core" if cluster.core else "    "
        click.echo(f"  {cluster.name[:_NAMED]:<{_NAMED}} {mark} {cluster.texts:>4} texts  {'; '.join(cluster.central)}")
    click.echo(f"{len(found.noise)} of the texts lie in no cluster (--noise says what becomes of them)")


def _report_dependence(moments: ValueMoments, shares: str) -> None:
    from headroles.explained import dependence

    found, names = dependence(moments), [name for name, _ in moments.concepts]
    advice = "what both explain is credited to neither" if shares == "unique" else "try --shares unique"
    for one, other in zip(*(found > _BOUND).nonzero(), strict=True):
        if one < other:
            bound = f"Cramer's V {found[one, other]:.2f}"
            click.echo(f"labels {names[one]} and {names[other]} depend on each other ({bound}): {advice}", err=True)
