"""ContinualRun: the trainings of a continual job, seed by seed, each an adapter in a folder of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.folders import Draw
from headroles.adapt.adapter.info import METRICS
from headroles.adapt.continual.drift import adapted_means, drift, frozen_means, read_pixels
from headroles.adapt.continual.output import adapter_folder, check_continual, forget
from headroles.adapt.continual.result import PROTOCOL, Continual, HeadDrift
from headroles.adapt.continual.ways import MERGED, NEWEST, OWN, SEQUENTIAL, check_tasks
from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.output import check_apart
from headroles.adapt.jobs.role_map import find_role_map
from headroles.adapt.jobs.run import check_ablation
from headroles.adapt.jobs.seed_run import Announce, SeedRun
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.merging.config import MergeConfig
from headroles.adapt.merging.merge import merge_opened
from headroles.adapt.methods.registry import find_method
from headroles.adapt.metrics import MEAN, Measure
from headroles.adapt.results.measuring import measure, measure_retention
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.fingerprint import digest, digest_map
from headroles.adapt.training.processes import check_precision, is_main, on_main
from headroles.errors import InputError
from headroles.files.run_file import write_run
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

Columns = Mapping[str, Sequence[Adapter]]
"""Strategy -> the adapter that answers after 1, 2, ... T tasks."""


@dataclass(frozen=True)
class ContinualRun:
    """A continual job whose model, tasks and role map are open."""

    jobs: tuple[Job, ...]
    """One a task, alike in all else."""
    ways: tuple[str, ...]
    merging: tuple[MergeConfig, ...]
    tasks: tuple[JobTasks, ...]
    """What each of them trains on, with all other tasks as its retention."""
    clip: HookedCLIP
    role_map: RoleMap | None
    output: Path
    drift_images: int
    workers: int = 0
    progress: Announce | None = None

    @classmethod
    def open(
        cls,
        jobs: Sequence[Job],
        ways: Sequence[str],
        merging: Sequence[MergeConfig],
        output: Path,
        device: str,
        *,
        drift_images: int,
        resume: bool,
        overwrite: bool,
        strict: bool,
        workers: int,
        progress: Announce | None,
        say: Callable[[str], None] | None,
    ) -> ContinualRun:
        """All mistakes that can be found without training are found here, before anything is written over."""
        on_main(lambda: check_continual(output, resume, overwrite))
        for job in jobs:
            check_apart(job, output)
        alone = [JobTasks.open(job, strict) for job in jobs]
        check_tasks([each.task.name for each in alone])
        tasks = tuple(_with_others(each, alone) for each in alone)
        first = jobs[0]
        check_ablation(first.train)
        clip = first.model if isinstance(first.model, HookedCLIP) else load(first.model, device)
        find_method(first.method).check_model(clip)
        lines = [line for each in alone for line in (*each.reading, *each.check_classes(clip))]
        check_precision(clip.device, first.train.precision)
        begun = [output, adapter_folder(output, first.seeds, first.seeds[0], "task", 1)] if resume else []
        role_map, note = on_main(lambda: find_role_map(first, clip, begun))
        run = cls(
            tuple(jobs), tuple(ways), tuple(merging), tasks, clip, role_map, output, drift_images, workers, progress
        )
        lines += [*run.build(first.seeds[0], 0, None).method.notes(), note]
        run.begin(resume, overwrite)
        if say and is_main():
            for line in dict.fromkeys(filter(None, lines)):
                say(line)
        return run

    def begin(self, resume: bool, overwrite: bool) -> None:
        """Mark the output as begun; InputError where `resume` finds another job there."""
        if overwrite:
            on_main(lambda: forget(self.output))
        job = self.jobs[0]
        settings: dict[str, Any] = {
            "tasks": [each.task.name for each in self.tasks],
            "training images": {
                str(seed): [digest(tasks.trained[self._draw(seed)].train) for tasks in self.tasks]
                for seed in job.seeds
            },
            **{"model": self.clip.weights_hash(), "method": job.method, "role map": digest_map(self.role_map)},
            **{"settings": job.settings.to_dict(), "train": job.train.to_dict(), "shots": job.shots},
            **{"seeds": list(job.seeds), "continual": list(self.ways), "drift_images": self.drift_images},
            "merging": [config.to_dict() for config in self.merging],
        }
        checkpoint = Checkpoint(self.output)
        on_main(lambda: checkpoint.begin(settings, self.role_map, resume))
        on_main(lambda: write_run(checkpoint.folder, keep=True))

    def run(self) -> Continual:
        """Train, merge and test whatever is not done; write what came of it, and the mark of the beginning goes."""
        rows, drifts = list[Measure](), list[HeadDrift]()
        for seed in self.jobs[0].seeds:
            columns = self._train_seed(seed)
            rows += self._rows(seed, columns)
            drifts += self._drifts(seed, columns)
        names = tuple(each.task.name for each in self.tasks)
        roles = {head.name: head.role for head in self.role_map} if self.role_map else {}
        job = self.jobs[0]
        found = Continual(self.clip.model_name, job.method, names, tuple(rows), tuple(drifts), roles)
        on_main(lambda: found.write(self.output))
        on_main(lambda: write_run(self.output, keep=True))
        on_main(Checkpoint(self.output).remove)
        return found

    def build(self, seed: int, number: int, begun: Adapter | None) -> SeedRun:
        """The training on one task, from 0; `begun`: the adapter that it goes on from."""
        strategy = "task" if begun is None else SEQUENTIAL
        folder = adapter_folder(self.output, self.jobs[0].seeds, seed, strategy, number + 1)
        draw = self._draw(seed)
        return SeedRun(self.jobs[number], self.clip, self.role_map, self.tasks[number], draw, folder, begun)

    def _draw(self, seed: int) -> Draw:
        return Draw(seed, self.jobs[0].shot_counts[0])

    def _train(self, seed: int, number: int, begun: Adapter | None = None) -> Adapter:
        training = self.build(seed, number, begun)
        if is_main():
            what = "its own adapter" if begun is None else "the adapter so far goes on"
            LOG.info(f"seed {seed}: task {number + 1} of {len(self.tasks)}, {self.tasks[number].task.name}: {what}")
        on_main(partial(training.begin, True))
        on_main(training.note_asked)
        return training.finish(self.workers, self.progress)

    def _train_seed(self, seed: int) -> Columns:
        """The adapters of every strategy; those that are done are read."""
        later = range(1, len(self.tasks))
        alone = [self._train(seed, 0)]
        columns: dict[str, Sequence[Adapter]] = {}
        if SEQUENTIAL in self.ways:
            chain = alone[:1]
            for number in later:
                chain.append(self._train(seed, number, chain[-1]))
            columns[SEQUENTIAL] = chain
        if set(self.ways) != {SEQUENTIAL}:
            alone += [self._train(seed, number) for number in later]
            columns |= {NEWEST: alone, OWN: alone}
        for config in self.merging if MERGED in self.ways else ():
            columns[config.by] = [alone[0], *(self._merge(seed, config, alone[: number + 1]) for number in later)]
        return columns

    def _merge(self, seed: int, config: MergeConfig, parts: Sequence[Adapter]) -> Adapter:
        """The adapters so far as one, tested on all tasks; the one that is there already, where it is that."""
        tasks = self.tasks[len(parts) - 1]
        samples = tasks.trained[self._draw(seed)].train
        folder = adapter_folder(self.output, self.jobs[0].seeds, seed, config.by, len(parts))
        if on_main(lambda: (folder / METRICS).exists()):
            found, hashes = load_adapter(folder, model=self.clip), [part.weights_sha256 for part in parts]
            merged = found.info.merged
            if merged and [part.sha256 for part in merged.parts] == hashes and merged.settings == config.to_dict():
                return found
            raise InputError(f"resume: {folder} was merged of other adapters; start anew with --overwrite")
        adapter = merge_opened(parts, config, samples, tasks.task.name)
        shared: dict[str, Any] = {"workers": self.workers, "shots": adapter.info.shots}
        own = measure(adapter.method, tasks.task, tasks.protocol, seed, **shared)
        others = measure_retention(adapter.method, tasks.retention, seed, **shared)
        adapter = dataclasses.replace(adapter, measures=(*own, *others))
        on_main(lambda: adapter.save(folder))
        return adapter

    def _rows(self, seed: int, columns: Columns) -> Iterator[Measure]:
        for strategy, adapters in columns.items():
            for count, adapter in enumerate(adapters, 1):
                for number, tasks in enumerate(self.tasks):
                    own = strategy == OWN
                    row = _find_row(adapters[number] if own else adapter, tasks.task.name)
                    adapted = row.zero_shot if own and number >= count else row.adapted
                    place = (seed, PROTOCOL + strategy, tasks.task.name, f"after {count}")
                    yield Measure(*place, row.images, row.zero_shot, adapted)

    def _drifts(self, seed: int, columns: Columns) -> Iterator[HeadDrift]:
        """Of the adapters after the last task."""
        if not self.drift_images or not self.clip.visual.at_row:
            return
        for number, tasks in enumerate(self.tasks):
            pixels = read_pixels(columns[next(iter(columns))][0].method, tasks.task.test, self.drift_images)
            before = frozen_means(self.clip, pixels)
            for strategy, adapters in columns.items():
                adapter = adapters[number] if strategy == OWN else adapters[-1]
                values = _plain(drift(before, adapted_means(adapter.method, pixels)))
                yield HeadDrift(seed, strategy, tasks.task.name, values)


def _with_others(own: JobTasks, every: Sequence[JobTasks]) -> JobTasks:
    """A task's, with all others as its retention."""
    return dataclasses.replace(own, retention=tuple(each.task for each in every if each is not own))


def _find_row(adapter: Adapter, task: str) -> Measure:
    """What an adapter reached on a task, its own or another."""
    found = next((row for row in adapter.measures if row.task == task and row.task != MEAN), None)
    if found is None:
        raise InputError(f"resume: an adapter of {adapter.info.task} was not tested on {task}; start anew: --overwrite")
    return found


def _plain(values: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(value, 6) for value in line) for line in values.tolist())
