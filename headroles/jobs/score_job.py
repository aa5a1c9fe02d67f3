"""Everything that `headroles score` and `headroles merge` do: one process, several, or one shard of many."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from headroles.errors import InputError
from headroles.heads.ablation import current_ablation
from headroles.heads.moments import HeadMoments
from headroles.heads.value_moments import ValueMoments
from headroles.jobs.output import check_output, check_state, write_results
from headroles.jobs.probe_runs import BankRun, ProbeRun, open_bank_run, open_discovered_run, open_image_run
from headroles.jobs.shards import ShardInfo, find_shards, merge_shards, parse_shard, save_shard, shard_name
from headroles.models.load import load
from headroles.passes.image_pass import Part, PassOptions, Progress, join_pass
from headroles.passes.memory_fit import AUTO
from headroles.passes.processes import join, on_main, place, together
from headroles.passes.state import PassState, Seen
from headroles.roles.discovery import Discovery
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import ImagesInfo, RoleMap
from headroles.roles.score import ScoreConfig, check_enough, explain


@dataclass(frozen=True)
class ScoreJob:
    """All that `headroles score` is asked for."""

    model: str = "shapes"
    """As `headroles.load` takes it."""
    images: str = "shapes"
    """As `headroles.images.sources.find_source` takes it; so are the next three."""
    count: int | None = None
    column: str | None = None
    split: str | None = None
    by: str = "texts"
    """Describe heads by "texts", or by the labels of "images"."""
    probes: str | None = None
    """Bank or CSV file; None: that of the shapes world for the bundled model, else the general one."""
    concepts: str = "bank"
    """Those of the "bank", or "discover" them in the texts that heads pick."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of ScoreConfig (by images: ImageScoreConfig) that are not its defaults."""
    discovery: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of DiscoveryConfig that are not its defaults."""
    batch: int | None = None
    """Images a forward; None: what the device takes."""
    workers: int | None = None
    """Decoding processes; None: what the machine has to spare."""
    strict: bool = False
    """Refuse a broken image."""
    shard: str | None = None
    """Such as "1/4": do this part alone, to be merged."""
    save_every: float = 60.0
    """Seconds between two saves of an unfinished pass."""
    compile: bool = False
    """Compile the model's MLPs."""

    @property
    def bank_name(self) -> str:
        """The bank's name or file."""
        return self.probes or ("shapes" if self.model == "shapes" else "general")


@dataclass(frozen=True)
class Scored:
    """What a job has left."""

    files: tuple[Path, ...]
    """What it wrote."""
    role_map: RoleMap | None
    """None where only a shard was scored."""
    read: int
    """Images that went in."""
    broken: tuple[str, ...]
    """Names of those that could not be read."""
    moments: HeadMoments | ValueMoments | None = None
    """The sums that the role map rests on."""
    discovery: Discovery | None = None
    """The concepts that were found, if any were looked for."""


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
    part, name = together(lambda: _choose_part(job))
    state = PassState(output, name, part.process, part.processes)
    files = (f"{name}.safetensors",) if job.shard else ()
    on_main(lambda: check_output(output, overwrite, *([files] if files else [])))
    on_main(lambda: check_state(state, resume, overwrite))
    run = together(lambda: _open(job, where))
    if overwrite:
        on_main(state.remove)
    fold = partial(_fold, job, run, part, state, resume, progress)
    moments, seen, unit = together(fold)
    seen = join_pass(moments.sums(), seen)

    def finish() -> Scored:
        role_map = found = None
        if job.shard:
            info = _describe_shard(job, run, seen, unit)
            written = (save_shard(info, moments, output),)
        else:
            check_enough(seen)
            images = ImagesInfo(run.source, seen.read, seen.broken_names)
            role_map, found = run.explain(moments, images)
            written = write_results(role_map, moments, output, found and found.bank)
        state.remove()
        return Scored(written, role_map, seen.read, seen.broken_names, moments, found)

    return on_main(finish)


def merge_job(
    shards: Sequence[Path],
    output: Path,
    *,
    model: str | None = None,
    probes: str | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Scored:
    """Make the role map of a whole run from its shards, as if it had been scored in one.

    `model` and `probes`: where they are on this machine, if elsewhere than where the shards were scored. Raises
    InputError where shards overlap or are missing, or anything differs.
    """
    check_output(output, overwrite)
    info, moments = merge_shards(find_shards(shards))
    check_enough(info.seen)
    bank = ProbeBank.load(probes or info.probes)
    if bank.hash != info.bank:
        raise InputError(f"probes: {probes or info.probes} is not the bank of the shards; give that one with --probes")
    clip = load(model or info.model, device)
    if clip.weights_hash() != moments.weights_hash:
        raise InputError(f"model: {model or info.model} has other weights than the shards; give theirs with --model")
    clip.check_text()
    moments = moments.to(clip.device)
    images = ImagesInfo(info.source, info.seen.read, info.seen.broken_names)
    role_map = explain(clip, moments, bank, ScoreConfig(**info.settings), images)
    return Scored(write_results(role_map, moments, output), role_map, info.seen.read, info.seen.broken_names)


def default_workers(device: torch.device) -> int:
    """Decoding processes where nothing else is asked for: up to 8 beside a GPU, none on a CPU, which is busy itself."""
    if device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(0, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _choose_part(job: ScoreJob) -> tuple[Part, str]:
    """This process's part of the images, and the name of the shard or of the whole."""
    process, processes = place()
    if job.shard is None:
        return Part(process=process, processes=processes), "pass"
    if job.by != "texts" or job.concepts != "bank":
        raise InputError("shard: shards are of a bank's concepts; score by images, or discover, in one run")
    if current_ablation():
        raise InputError("shard: a shard is of the whole model; leave --ablate out, or score in one run")
    shard, shards = parse_shard(job.shard)
    return Part(shard - 1, shards, process, processes), shard_name(shard, shards)


def _open(job: ScoreJob, device: str) -> ProbeRun:
    names = ("model", "images", "count", "settings", "column", "split")
    options = {name: getattr(job, name) for name in names} | {"device": device}
    if job.by == "images":
        run = open_image_run(**options)
    elif job.concepts == "discover":
        run = open_discovered_run(job.bank_name, job.discovery, **options)
    else:
        run = open_bank_run(job.bank_name, **options)
    if job.compile:
        run.model.visual.compile_mlps()
    return run


def _fold(
    job: ScoreJob, run: ProbeRun, part: Part, state: PassState, resume: bool, progress: Progress | None
) -> tuple[HeadMoments | ValueMoments, Seen, int]:
    """This process's part of the pass, and how many images a unit had."""
    kind = run.model.device.type
    options = PassOptions(
        unit=job.batch or AUTO.get(kind, AUTO["cpu"]),
        part=part,
        workers=default_workers(run.model.device) if job.workers is None else job.workers,
        strict=job.strict,
        state=state,
        resume=resume,
        save_every=job.save_every,
    )
    moments, seen = run.fold(options, fit=job.batch is None, progress=progress)
    return moments, seen, options.unit


def _describe_shard(job: ScoreJob, run: BankRun, seen: Seen, unit: int) -> ShardInfo:
    shard, shards = parse_shard(job.shard)
    return ShardInfo(
        shard=shard,
        shards=shards,
        model=job.model,
        weights=run.model.weights_hash(),
        source=run.source,
        images=run.images.fingerprint(),
        batch=unit,
        probes=job.bank_name,
        bank=run.bank.hash,
        settings=dataclasses.asdict(run.config),
        seen=seen,
    )
