"""The whole job of `headroles adapt`, from plain names to adapter folders: train, evaluate and save, seed by seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headroles.adapt.adapter import CONFIG, FILES, METRICS, TABLE, AdapterInfo, save_adapter
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.data.tasks import Task, open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.methods.entry import check_adaptable
from headroles.adapt.metrics import Measure, read_measures, to_csv, to_json
from headroles.adapt.results.evaluate import PROTOCOLS, WITH_TARGETS, default_targets, evaluate, retention
from headroles.adapt.training.checkpoint import Checkpoint, difference
from headroles.adapt.training.processes import check_precision, is_main, join, on_main
from headroles.adapt.training.train import Step, digest, fingerprint, fit
from headroles.errors import InputError
from headroles.files.whole import write_text
from headroles.heads.ablation import current_ablation, intact
from headroles.jobs.output import check_writable
from headroles.jobs.score_run import open_run
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import first_deep_layer
from headroles.models.load import load
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import RoleMap
from headroles.shapes.tasks import RETENTION

ROLE_MAP = Path("headroles-output/role_map.json")
"""Where `headroles score` leaves its role map."""
TASK = "shapes:tiny"
"""Where nothing else is asked for."""


@dataclass(frozen=True)
class Job:
    """What to adapt to what, and how."""

    model: str = "shapes"
    """What `headroles.load` takes."""
    task: str = TASK
    """What `open_task` takes."""
    root: Path | None = None
    """Folder of the data sets that a task names."""
    template: str | None = None
    """Prompt with {} for the class; None: the task's own."""
    role_map: Path | None = None
    """Role map of the model; None: what `headroles score` left, or, for the bundled model, a new one."""
    protocol: str = "base-to-novel"
    """One of `headroles.adapt.results.evaluate.PROTOCOLS`."""
    shots: int | None = 16
    """Training images a class; None for all of them."""
    seeds: tuple[int, ...] = (1,)
    """One adapter each."""
    targets: tuple[str, ...] | None = None
    """Tasks that cross-dataset and domain-shift test on; None: for a task of the shapes world, all its peers."""
    retention: tuple[str, ...] | None = None
    """Tasks of the retention rows; None: for the bundled model, every plain concept but the task itself."""
    dear: DearConfig = field(default_factory=DearConfig)
    """The method."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training; its seed is replaced by those of `seeds`."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {self.protocol!r}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds must be different numbers, at least one, got {self.seeds}")
        if self.targets and self.protocol not in WITH_TARGETS:
            raise InputError(
                f"targets: {self.protocol} tests on the task itself; leave them out, or use protocol "
                f"{' or '.join(WITH_TARGETS)}"
            )
        if self.shots is not None and self.shots < 1:
            raise InputError(f"shots must be at least 1, got {self.shots}")


@dataclass(frozen=True)
class Adapted:
    """What a job has left."""

    measures: tuple[Measure, ...]
    """All rows, seed by seed."""
    folders: tuple[Path, ...]
    """The adapter of every seed."""
    trainable: str
    """Trained and frozen parameters, as PEFT prints them."""
    note: str
    """Where the role map came from."""


Announce = Callable[[int, Step], None]
"""Called with the seed and where its training is."""


def adapt(
    job: Job,
    output: Path,
    *,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Announce | None = None,
) -> Adapted:
    """Train, evaluate and save one adapter a seed: in `output`, or in `output`/seed-N if there are several.

    All mistakes that can be found without training are found before anything is written over. `resume` goes on with
    a job that was stopped, whatever it was doing; seeds that are done are not done again.
    """
    place = join(device)
    folders = {seed: output if len(job.seeds) == 1 else output / f"seed-{seed}" for seed in job.seeds}
    on_main(lambda: check_output(output, resume, overwrite, len(folders) > 1))
    tasks = _Tasks.open(job)
    check_ablation(job.train)
    clip = load(job.model, place)
    check_adaptable(clip)
    check_precision(clip.device, job.train.precision)
    role_map, note = on_main(lambda: find_role_map(job, clip, list(folders.values()) if resume else []))
    runs = [_Run(job, clip, role_map, tasks, seed, folder) for seed, folder in folders.items()]
    for run in runs:
        on_main(lambda run=run: run.begin(resume))
    measures = [row for run in runs for row in run.finish(workers, progress)]
    on_main(lambda: _write_summary(output, measures, list(folders.values()), overwrite))
    return Adapted(tuple(measures), tuple(folders.values()), runs[0].dear.trainable_summary(), note)


def check_ablation(train: TrainConfig) -> None:
    """InputError where trunks from disk would hide from a direct ablation what their heads wrote."""
    ablation = current_ablation()
    if ablation and ablation["effect"] == "direct" and train.cache_views:
        raise InputError("ablate-effect: direct needs whole forwards, not cached trunks; leave out --cache-views")


def check_output(output: Path, resume: bool, overwrite: bool, several: bool = False) -> None:
    """Make the folder; refuse one that cannot be written, and other work's results unless asked to replace them.

    `several`: the job has a folder a seed below `output`.
    """
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; give one of them")
    folders = [output, *sorted(output.glob("seed-*"))]
    begun = [folder for folder in folders if Checkpoint(folder).unfinished]
    done = [folder / name for folder in folders for name in FILES if (folder / name).exists()]
    ours = begun or any((folder / CONFIG).exists() for folder in folders)
    if begun and not (resume or overwrite):
        raise InputError(f"output: {begun[0]} holds an unfinished training; --resume it or --overwrite it")
    if resume and several and (output / CONFIG).exists():
        raise InputError(f"resume: {output} is the adapter of one seed, not a job of several; give another --output")
    if done and not (overwrite or (resume and ours)):
        raise InputError(f"output: {done[0].parent} already holds {done[0].name}; give another --output or --overwrite")
    check_writable(output)


def find_role_map(job: Job, clip: HookedCLIP, begun: Sequence[Path] = ()) -> tuple[RoleMap, str]:
    """The role map of a job and a line about where it came from.

    The job's own; else that of the adapters already `begun`; else what `headroles score` left, if it fits; else, for
    the bundled model, a new one. Raises InputError where there is none, or where it is of other weights.
    """
    weights = clip.weights_hash()
    if job.role_map is not None:
        role_map = RoleMap.load(job.role_map)
        if role_map.model.weights_hash != weights:
            raise InputError(
                f"role map: {job.role_map} is of other weights than model {job.model}; make one: headroles score "
                f"--model {job.model}"
            )
        return role_map, f"role map: {job.role_map}"
    for folder in begun:
        path = next(filter(Path.is_file, (Checkpoint(folder).role_map, folder / "role_map.json")), None)
        if path:
            return RoleMap.load(path), f"role map: {path}"
    first = job.dear.layer if job.dear.layer is not None else first_deep_layer(clip.visual.layers)
    first += job.dear.enter_after
    unfit = ""
    if ROLE_MAP.is_file():
        role_map = RoleMap.load(ROLE_MAP)
        lacking = sorted(set(range(first, clip.visual.layers)) - set(role_map.layers))
        if role_map.model.weights_hash == weights and not lacking:
            return role_map, f"role map: {ROLE_MAP}"
        why = f"lacks layer {lacking[0]}" if role_map.model.weights_hash == weights else "is of another model"
        unfit = f" ({ROLE_MAP} {why})"
    if job.model != "shapes":
        raise InputError(
            f"role map: none for model {job.model}{unfit}; make one: headroles score --model {job.model} --images "
            "FOLDER, and give it as --role-map FILE"
        )
    return _score(clip, first), f"role map: made from rendered scenes{unfit}"


def _score(clip: HookedCLIP, first: int) -> RoleMap:
    settings = {"layers": f"{first}-{clip.visual.layers - 1}"}
    with intact():
        run = open_run("shapes", "shapes", settings=settings, device=str(clip.device))
        role_map, _ = run.score(ProbeBank.load("shapes"))
    return role_map


@dataclass(frozen=True)
class _Tasks:
    """The tasks of a job; all are opened before the model is."""

    task: Task
    trained: dict[int, Task]
    """Seed -> the task with this seed's shots and the classes that training sees."""
    targets: tuple[Task, ...]
    retention: tuple[Task, ...]

    @classmethod
    def open(cls, job: Job) -> _Tasks:
        names = target_names(job)
        if job.protocol in WITH_TARGETS and not names:
            raise InputError(f"targets: {job.protocol} of {job.task} needs tasks to test on; give --targets a,b")
        task = open_task(job.task, job.root, job.template)
        few = {seed: task if job.shots is None else task.few_shot(job.shots, seed) for seed in job.seeds}
        halve = job.protocol == "base-to-novel"
        trained = {seed: each.halves()[0] if halve else each for seed, each in few.items()}
        targets, kept = (tuple(open_task(name, job.root) for name in some) for some in (names, retention_names(job)))
        return cls(task, trained, targets, kept)


def target_names(job: Job) -> tuple[str, ...]:
    """The tasks that the job's protocol tests on beside its own."""
    if job.targets is None:
        return default_targets(job.task, job.protocol)
    return job.targets


def retention_names(job: Job) -> tuple[str, ...]:
    """The tasks of the retention rows."""
    if job.retention is not None:
        return job.retention
    names = tuple(f"shapes:{name}" for name in RETENTION) if job.model == "shapes" else ()
    return tuple(name for name in names if name != job.task)


@dataclass
class _Run:
    """One seed of a job."""

    job: Job
    clip: HookedCLIP
    role_map: RoleMap
    tasks: _Tasks
    seed: int
    folder: Path
    """Where its adapter goes."""

    def __post_init__(self) -> None:
        self.train = dataclasses.replace(self.job.train, seed=self.seed)
        self.dear = Dear(self.clip, self.role_map, self.job.dear, self.seed)

    @property
    def info(self) -> AdapterInfo:
        """What will be written into the adapter."""
        task, trained, job = self.tasks.task, self.tasks.trained[self.seed], self.job
        return AdapterInfo(
            base_model_name_or_path=job.model,
            base_model_hash=self.role_map.model.weights_hash,
            task=task.name,
            protocol=job.protocol,
            classes=task.classes,
            trained_classes=trained.classes,
            template=task.template,
            shots=job.shots,
            training_images=digest(trained.train),
            targets=tuple(target.name for target in self.tasks.targets),
            retention=tuple(other.name for other in self.tasks.retention),
            seed=self.seed,
            layer=self.dear.layer,
            attributes=tuple(self.dear.attributes),
            dear=self.job.dear,
            train=self.train,
            ablation=current_ablation(),
            role_map_sha256=hashlib.sha256(self.role_map.to_json().encode()).hexdigest(),
        )

    def begin(self, resume: bool) -> None:
        """Mark the folder as begun; InputError where `resume` finds something else there."""
        checkpoint = Checkpoint(self.folder)
        if resume and not checkpoint.unfinished and (self.folder / METRICS).exists():
            old, new = (json.loads(info.to_json()) for info in (AdapterInfo.load(self.folder), self.info))
            found = difference(old, new)
            if found:
                raise InputError(f"resume: {self.folder} was made with {found[0]} {found[1]!r}, got {found[2]!r}")
            return
        settings = fingerprint(self.role_map, self.tasks.trained[self.seed], self.job.dear, self.train)
        checkpoint.begin(settings, self.role_map, resume)

    def finish(self, workers: int, progress: Announce | None) -> list[Measure]:
        """Train, evaluate and save, unless that is done."""
        if not Checkpoint(self.folder).unfinished:
            return read_measures((self.folder / METRICS).read_text(encoding="utf-8"))
        say = (lambda step: progress(self.seed, step)) if progress and is_main() else None
        trained = self.tasks.trained[self.seed]
        history = fit(self.dear, trained, self.train, self.folder, resume=True, workers=workers, progress=say)
        options: dict[str, Any] = {"seed": self.seed, "workers": workers}
        measures = evaluate(self.dear, self.tasks.task, self.job.protocol, targets=self.tasks.targets, **options)
        measures += retention(self.dear, self.tasks.retention, **options)
        on_main(lambda: save_adapter(self.dear, self.info, self.folder, measures, history))
        return measures


def _write_summary(output: Path, measures: Sequence[Measure], folders: Sequence[Path], overwrite: bool) -> None:
    """metrics.csv and metrics.json over several seeds; `overwrite` takes away what an earlier job left beside them."""
    summary: set[str] = set()
    if len(folders) > 1:
        summary = {TABLE, METRICS}
        write_text(output / TABLE, to_csv(measures))
        write_text(output / METRICS, to_json(measures))
    if overwrite:
        for folder in {output, *output.glob("seed-*")} - set(folders):
            for name in set(FILES) - (summary if folder == output else set()):
                (folder / name).unlink(missing_ok=True)
