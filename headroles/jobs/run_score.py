"""The one driver of all scorings: one process, several, or one shard of many; resumable."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from headroles.files.lock import locked
from headroles.images.reading import Reading
from headroles.jobs.align import align_job, look_aligned
from headroles.jobs.by_discovery import ByDiscovery
from headroles.jobs.output import ALIGNED, FILES, LOCKED, check_output, check_state
from headroles.jobs.score_job import Scored, ScoreJob
from headroles.jobs.shards import ShardInfo, parse_shard, save_shard
from headroles.jobs.ways import Sums, Way, open_way
from headroles.passes.image_pass import Part, Progress, join_pass
from headroles.passes.mean_pass import MeanEmbedding
from headroles.passes.processes import join, on_main, together
from headroles.passes.state import PassState, Seen
from headroles.roles.doubts import tell_doubts


def run_job(
    job: ScoreJob,
    output: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Scored:
    """Score, write the results, and say what they are; alone or as one of several processes that a launcher started.

    An unfinished pass is kept below `output`/unfinished, and `resume` goes on with it, to the same result. Raises
    InputError, in all processes, where one of them meets a mistake.
    """
    where = join(device)
    part, name = together(job.choose_part)
    state = PassState(output, name, part.process, part.processes)
    with ExitStack() as stack:
        on_main(lambda: stack.enter_context(locked(output, name if job.shard else LOCKED)))
        on_main(lambda: _check_place(job, output, name, state, resume, overwrite))
        if job.align_to is not None:
            job = align_job(job, output, where, resume, progress)
        way = together(lambda: open_way(job, where))
        if overwrite:
            on_main(state.remove)
        on_main(way.subject.announce)
        sums, seen = together(lambda: _fold(job, way, part, state, resume, progress))
        seen = join_pass(sums.sums(), seen)
        return on_main(lambda: _finish(job, way, sums, seen, output, state))


def look(
    job: ScoreJob, output: Path, *, device: str = "auto", resume: bool = False, overwrite: bool = False
) -> Reading | None:
    """How `run_job` would read the images, if any; everything is opened and checked, nothing is read or written."""
    where = join(device)
    part, name = together(job.choose_part)
    state = PassState(output, name, part.process, part.processes)
    on_main(lambda: _check_place(job, output, name, state, resume, overwrite))
    if job.align_to is not None:
        job = together(lambda: look_aligned(job, where))
    subject = together(lambda: open_way(job, where)).subject
    return on_main(subject.announce)


def explain_and_write(way: Way[Sums], sums: Sums, seen: Seen, output: Path) -> Scored:
    """The last two steps of a whole run: the role map that the sums of all images give, and its files."""
    found = way.explain(sums, seen)
    files = way.write(found, sums, output)
    tell_doubts(found.role_map)
    return Scored(files, found.role_map, seen.read, seen.broken_names, sums, found.discovery)


def _check_place(job: ScoreJob, output: Path, name: str, state: PassState, resume: bool, overwrite: bool) -> None:
    goes_on = resume and bool(state.files())  # Its files may have begun to take their places.
    files = [f"{name}.safetensors"] if job.shard else [each for each in FILES if not (resume and each == ALIGNED)]
    check_output(output, overwrite or goes_on, files)
    check_state(state, resume, overwrite)


def _fold(
    job: ScoreJob, way: Way[Sums], part: Part, state: PassState, resume: bool, progress: Progress | None
) -> tuple[Sums, Seen]:
    options = job.pass_options(way.subject.model.device, part, state, resume)
    return way.fold(options, fit=job.batch is None, progress=progress)


def _finish(job: ScoreJob, way: Way[Sums], sums: Sums, seen: Seen, output: Path, state: PassState) -> Scored:
    if job.shard:
        assert not isinstance(sums, MeanEmbedding), "weights have no shards"
        path = save_shard(_describe_shard(job, way, seen, job.shard), sums, output)
        scored = Scored((path,), None, seen.read, seen.broken_names, sums)
    else:
        scored = explain_and_write(way, sums, seen, output)
    state.remove()
    return scored


def _describe_shard(job: ScoreJob, way: Way[Any], seen: Seen, name: str) -> ShardInfo:
    """The shard `name` of a job, which is done."""
    shard, shards = parse_shard(name)
    subject = way.subject
    return ShardInfo(
        shard=shard,
        shards=shards,
        by=job.by,
        concepts=job.concepts,
        model=job.model_name,
        weights=subject.model.weights_hash(),
        source=subject.source,
        images=subject.opened.fingerprint(),
        reading=subject.reading.to_dict(),
        batch=job.unit(subject.model.device),
        probes=str(job.bank),
        identity=way.identity | (subject.blocking.describe() if subject.blocking else {}),
        settings=dataclasses.asdict(way.config),
        discovery=dataclasses.asdict(way.discovery) if isinstance(way, ByDiscovery) else {},
        seen=seen,
    )
