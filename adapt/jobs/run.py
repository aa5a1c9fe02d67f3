"""JobRun: everything that a job has opened, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from headroles.adapt.adapter.adapter import Adapter
from headroles.adapt.adapter.folders import place_draws
from headroles.adapt.config import TrainConfig
from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.output import check_apart, check_output, remove_others
from headroles.adapt.jobs.role_map import find_role_map
from headroles.adapt.jobs.seed_run import Announce, SeedRun
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.methods.registry import find_method
from headroles.adapt.results.adapted import Adapted
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.processes import check_precision, is_main, on_main
from headroles.errors import InputError
from headroles.files.run_file import write_run
from headroles.heads.ablation import current_ablation
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load


@dataclass(frozen=True)
class JobRun:
    """A job whose model, tasks and role map are open, and whose folders are marked as begun."""

    seeds: tuple[SeedRun, ...]
    """Its trainings, a seed each, for each number of shots and each domain that is left out."""
    output: Path
    note: str
    """Where the role map came from."""
    done: tuple[Path, ...] = ()
    """Folders of those that an earlier job has finished."""

    @classmethod
    def open(
        cls,
        job: Job,
        output: Path,
        device: str,
        resume: bool,
        overwrite: bool,
        strict: bool = False,
        say: Callable[[str], None] | None = None,
        tasks: JobTasks | None = None,
    ) -> JobRun:
        """All mistakes that can be found without training are found here, before anything is written over.

        `strict`: images that cannot be read, or are there twice, are mistakes. `say` is called with the lines that
        tell how all was read. `tasks`: the job's, where they are open already.
        """
        on_main(lambda: check_output(output, resume, overwrite, job.several, bool(job.log)))
        check_apart(job, output)
        tasks = tasks or JobTasks.open(job, strict)
        folders = place_draws(output, tuple(tasks.trained))
        job = replace(job, protocol=tasks.protocol)
        check_ablation(job.train)
        clip = job.model if isinstance(job.model, HookedCLIP) else load(job.model, device)
        find_method(job.method).check_model(clip)
        lines = (*tasks.reading, *tasks.follow(job), *tasks.check_classes(clip))
        check_precision(clip.device, job.train.precision)
        role_map, note = on_main(lambda: find_role_map(job, clip, list(folders.values()) if resume else []))
        seeds = tuple(SeedRun(job, clip, role_map, tasks, draw, folder) for draw, folder in folders.items())
        opened = cls(seeds, output, note)
        with opened._forgetting():
            for run in seeds:
                on_main(partial(run.begin, resume))
                on_main(run.note_asked)
        opened = replace(opened, done=tuple(run.folder for run in seeds if run.over))
        lines += seeds[0].method.notes()
        if say and is_main():
            for line in lines:
                say(line)
        return opened

    def train(self, workers: int, progress: Announce | None) -> tuple[Adapter, ...]:
        """Train, evaluate and write every one that is not done."""
        with self._forgetting():
            return tuple(run.finish(workers, progress) for run in self.seeds)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Where the work fails and nothing is kept that a job could go on from, the marks of its beginning go."""
        try:
            yield
        except BaseException:
            checkpoints = [Checkpoint(run.folder) for run in self.seeds if not run.over]
            if is_main() and all(checkpoint.empty for checkpoint in checkpoints):
                for checkpoint in checkpoints:
                    checkpoint.remove()
            raise

    def write(self, adapters: tuple[Adapter, ...], overwrite: bool) -> Adapted:
        """The summary over several trainings; `overwrite` takes away what an earlier job has left beside them."""
        folders = tuple(run.folder for run in self.seeds)
        adapted = Adapted(adapters, folders, self.note, self.done)
        on_main(lambda: adapted.save_summary(self.output))
        on_main(lambda: write_run(self.output, keep=not overwrite))
        if overwrite:
            on_main(lambda: remove_others(self.output, folders))
        return adapted


def check_ablation(train: TrainConfig) -> None:
    """InputError where trunks from disk would hide from a direct ablation what their heads wrote."""
    ablation = current_ablation()
    if ablation and ablation["effect"] == "direct" and train.cache_views:
        raise InputError("ablate-effect: direct needs whole forwards, not cached trunks; leave out --cache-views")
