"""Kill -9 at random moments of a command, then go on: are all its files the same, byte for byte?

`python benchmarks/kill_resume.py` runs `headroles adapt` on the bundled model once without a break, then kills ten more
runs, goes on with `--resume`, and compares all files. Every other kill comes at a random time, in as many parts of the
time that a run takes; the others at a random step of its writing, before a file is opened, a folder made, or a file
renamed. `--command` names other commands; those that keep no state begin again; of `compare`, whose folder holds times
too, the results have to be the same. Each run is a process of its own,
forked from one that has loaded what all need, so that kills fall into the work and not into the imports.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import click
from benchmark import benchmark
from full_disk import writes


@dataclass(frozen=True)
class Job:
    """A command, and what it needs."""

    arguments: tuple[str, ...]
    """{out} is its output, {made} a folder with what `before` made."""
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that make what it reads."""
    again: tuple[str, ...] = ()
    """What goes on, or begins again."""
    begun: str = ""
    """Below its output: from here on it is killed; "": from its start on."""
    held: tuple[str, ...] = ()
    """The files that have to come out the same, where others hold times; none: all."""


_SCORED = ("score", "--count", "48", "--bootstraps", "5", "--null-draws", "50", "--workers", "0")
_MAP = (*_SCORED, "--output", "{made}/roles")
JOBS = {
    "adapt": Job(
        ("adapt", "--task", "shapes:tiny", "--shots", "2", "--epochs", "4", "--retention", "none",
         "--batch", "8", "--cache-views", "2", "--role-map", "{made}/roles/role_map.json", "--output", "{out}"),
        (_MAP,), ("--resume",), "unfinished",
    ),
    "score": Job((*_SCORED, "--batch", "8", "--save-every", "0", "--output", "{out}"), (), ("--resume",), "unfinished"),
    "validate": Job(
        ("validate", "{made}/roles/role_map.json", "--count", "48", "--draws", "20", "--bootstraps", "20",
         "--output", "{out}"),
        (_MAP,), ("--overwrite",),
    ),
    "retrieve": Job(
        ("retrieve", "{made}/roles/role_map.json", "--query", "{made}/photos/0.png", "--images", "{made}/photos",
         "--heads", "L7.*", "--index", "{out}/index", "--workers", "0"),
        (_MAP,),
    ),
    "compare": Job(
        ("compare", "--methods", "zero-shot,coop,tip-adapter", "--tasks", "shapes:tiny,shapes:lamp",
         "--seeds", "1-2", "--shots", "1", "--set", "epochs=2", "--set", "batch=8", "--retention", "none",
         "--output", "{out}"),
        held=("results.csv", "results.parquet"),
    ),
    "merge": Job(
        ("merge", "{made}/shards", "--output", "{out}"),
        tuple((*_SCORED, "--shard", f"{number}/2", "--output", "{made}/shards") for number in (1, 2)), ("--overwrite",),
    ),
}  # fmt: skip


@benchmark()
@click.option("--command", "commands", multiple=True, type=click.Choice(list(JOBS)), default=("adapt",))
@click.option("--kills", type=click.IntRange(min=1), default=10, show_default=True, help="Runs to kill, a command.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def main(commands: tuple[str, ...], kills: int, seed: int) -> None:
    """Compare killed runs that went on with an uninterrupted one."""
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(1)
    wrong = 0
    for command in commands:
        with tempfile.TemporaryDirectory() as place:
            wrong += trials(command, kills, random.Random(seed), Path(place))
    sys.exit(1 if wrong else 0)


def trials(command: str, kills: int, rng: random.Random, folder: Path) -> int:
    """How many of the killed runs ended otherwise than the whole one."""
    run = Run(JOBS[command], folder)
    whole = folder / "whole"
    lasted, steps = run.finish(whole), run.steps
    click.echo(f"{command}, uninterrupted: {lasted:.1f} s, {steps} steps of writing")
    wrong = 0
    for number in range(kills):
        out, moment, state = folder / f"killed-{number}", (number + rng.random()) / kills, None
        if number % 2:
            state = run.kill_at(out, rng.randrange(steps))
        while state is None:  # the machine may be faster than it was: a run that ends before its kill is no trial
            shutil.rmtree(out, ignore_errors=True)
            state, lasted = run.kill(out, moment * lasted, lasted)
        found, expected = (files(folder, run.job.held) for folder in (out, whole))
        if found.keys() != expected.keys():  # else it was over but for its last breath
            run.finish(out, again=True)
            found = files(out, run.job.held)
        wrong += found != expected
        shown = hashlib.sha256(repr(found).encode()).hexdigest()[:12]
        click.echo(f"{number + 1:>2}  {state:<52} {shown}  {'identical' if found == expected else 'DIFFERENT'}")
    click.echo(f"{command}: {kills - wrong} of {kills} identical in all {len(files(whole, run.job.held))} files")
    return wrong


class Forked:
    """`headroles` in a process forked from this one."""

    def __init__(self, arguments: list[str], log: Path, out: Path, dies: int) -> None:
        """`dies`: number of the step of writing below `out` before which it kills itself; -1: none."""
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._run(arguments, log, str(out), dies)

    def _run(self, arguments: list[str], log: Path, out: str, dies: int) -> None:
        from tqdm import tqdm

        from headroles.cli.main import main

        tqdm.set_lock(RLock())  # The one that all share would stay taken where a process is killed.
        code, steps = 1, 0

        def count(event: str, given: tuple[Any, ...]) -> None:
            nonlocal steps
            if writes(event, given, out):
                if steps == dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                steps += 1

        sys.addaudithook(count)
        try:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(file, stream)
            sys.argv = ["headroles", *arguments]
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            log.with_suffix(".steps").write_text(str(steps))
            os._exit(code)

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


class Run:
    """A command in a process of its own; what it reads is made once."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.made, self.log = job, folder / "made", folder / "log"
        self.made.mkdir()
        draw_photos(self.made / "photos")
        for arguments in job.before:
            self._check(self._open(arguments, folder))

    def _open(self, arguments: tuple[str, ...], out: Path, dies: int = -1) -> Forked:
        return Forked([part.format(made=self.made, out=out) for part in arguments], self.log, out, dies)

    @property
    def steps(self) -> int:
        """Steps of writing of the run that ended last."""
        return int(self.log.with_suffix(".steps").read_text())

    def _check(self, process: Forked) -> None:
        if process.wait():
            sys.exit(self.log.read_text())

    def start(self, out: Path, *more: str) -> Forked:
        """Start it and wait until it has begun."""
        process = self._open((*self.job.arguments, *more), out)
        while self.job.begun and process.poll() is None and not (out / self.job.begun).exists():
            time.sleep(0.01)
        return process

    def finish(self, out: Path, again: bool = False) -> float:
        """Run to the end; seconds from its beginning on."""
        process, begun = self.start(out, *(self.job.again if again else ())), time.monotonic()
        self._check(process)
        return time.monotonic() - begun

    def kill(self, out: Path, after: float, lasts: float) -> tuple[str | None, float]:
        """Kill it `after` seconds from its beginning on.

        What it had written, or None if it was over before; and how long a run `lasts`, as far as is known then.
        """
        process, begun = self.start(out), time.monotonic()
        while process.poll() is None and time.monotonic() - begun < after:
            time.sleep(0.002)
        if process.poll() is not None:
            return None, time.monotonic() - begun
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return f"killed after {after:.1f} s, {count_files(out)}", lasts

    def kill_at(self, out: Path, step: int) -> str:
        """Let it kill itself before a step of writing, counted from its start; what it had written."""
        self._open(self.job.arguments, out, step).wait()
        return f"killed before step {step} of writing, {count_files(out)}"


def count_files(out: Path) -> str:
    """Such as 3 files, 1 partial."""
    left = [path for path in out.rglob("*") if path.is_file()]
    partial = sum("partial" in str(path.relative_to(out)) for path in left)
    return f"{len(left)} files, {partial} partial"


def draw_photos(folder: Path) -> None:
    """Twelve rendered scenes as files."""
    from PIL import Image

    from headroles.shapes import render, sample_scene

    folder.mkdir()
    for number in range(12):
        Image.fromarray(render(sample_scene(0, number))).save(folder / f"{number}.png")


def files(folder: Path, held: tuple[str, ...] = ()) -> dict[str, str]:
    """sha256 of every file below a folder, or of those that are named."""
    found = (folder / name for name in held) if held else sorted(folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.is_file()
    }


if __name__ == "__main__":
    main()
