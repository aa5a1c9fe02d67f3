"""The role map of a whole run from its shards: everything that `headroles merge` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.jobs.output import LOCKED, check_output
from headroles.jobs.run_score import explain_and_write
from headroles.jobs.score_job import Scored, ScoreJob
from headroles.jobs.shards import ShardInfo, find_shards, merge_shards
from headroles.jobs.ways import Way, open_way
from headroles.roles.discovery import load_encoder


def merge_job(
    shards: Sequence[Path],
    output: Path,
    *,
    model: str | None = None,
    probes: str | None = None,
    encoder: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Scored:
    """Make the role map of a whole run from its shards, as if it had been scored in one.

    `model`, `probes` and `encoder`: where they are on this machine, if elsewhere than where the shards were scored.
    Raises InputError where shards overlap or are missing, or anything differs.
    """
    with locked(output, LOCKED):
        check_output(output, overwrite)
        info, sums = merge_shards(find_shards(shards))
        way = _open(info, model, probes, encoder, device)
        return explain_and_write(way, sums.to(way.subject.model.device), info.seen, output)


def _open(info: ShardInfo, model: str | None, probes: str | None, encoder: str | None, device: str) -> Way[Any]:
    """The way that the shards were scored in, without the images."""
    job = ScoreJob(
        model=model or info.model,
        source=info.source,
        reading=info.reading,
        by=info.by,
        probes=probes or info.probes,
        concepts=info.concepts,
        encoder=load_encoder(encoder) if encoder else None,
        settings=info.settings,
        discovery=info.discovery,
    )
    way = open_way(job, device, read=False)
    for name, own in way.identity.items():
        if info.identity.get(name) != own:
            given = probes or info.probes
            raise InputError(f"probes: {given} is not {name} of the shards; give that one with --probes")
    if way.subject.model.weights_hash() != info.weights:
        raise InputError(f"model: {model or info.model} has other weights than the shards; give theirs with --model")
    return way
