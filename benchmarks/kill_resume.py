"""Kill -9 at random moments of `headroles adapt`, then `--resume`: is the adapter the same, byte for byte?

`python benchmarks/kill_resume.py` adapts the bundled model once without a break, then kills ten more runs in as many
parts of the time between the first file and the last, resumes each, and compares all files.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

JOB = ("--task", "shapes:brightness", "--shots", "16", "--epochs", "40", "--retention", "none", "--cache-views", "2")
COMPARED = ("adapter_model.safetensors", "metrics.json")
"""Shown one by one; all other files are compared too."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", type=click.IntRange(min=1), default=10, show_default=True, help="Runs to kill.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
@click.argument("job", nargs=-1)
def main(kills: int, seed: int, job: tuple[str, ...]) -> None:
    """Compare killed and resumed runs with an uninterrupted one; JOB replaces the arguments of `headroles adapt`."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = Run(tuple(job or JOB), folder)
        whole = folder / "whole"
        lasted = run.finish(whole)
        click.echo(f"uninterrupted: {lasted:.1f} s from the first file to the last")
        wrong = 0
        for number in range(kills):
            out, moment, state = folder / f"killed-{number}", (number + rng.random()) / kills, None
            while state is None:  # the machine may be faster than it was: a run that ends before its kill is no trial
                shutil.rmtree(out, ignore_errors=True)
                state, lasted = run.kill(out, moment * lasted, lasted)
            run.finish(out, "--resume")
            same = files(out) == files(whole)
            wrong += not same
            hashes = "  ".join(f"{name} {files(out)[name][:12]}" for name in COMPARED)
            click.echo(f"{number + 1:>2}  {state:<44} {hashes}  {'identical' if same else 'DIFFERENT'}")
    click.echo(f"{kills - wrong} of {kills} identical in all files")
    sys.exit(1 if wrong else 0)


class Run:
    """`headroles adapt` in a process of its own; the role map is made once, by the first run."""

    def __init__(self, job: tuple[str, ...], folder: Path) -> None:
        self.job, self.role_map, self.log = job, folder / "role_map.json", folder / "log"

    def start(self, out: Path, *more: str) -> subprocess.Popen:
        """Start it and wait for its first file."""
        given = ("--role-map", str(self.role_map)) if self.role_map.exists() else ()
        entry = "from headroles.cli.main import main; main()"
        command = [sys.executable, "-c", entry, "adapt", *self.job, *given, "--output", str(out), *more]
        with open(self.log, "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        while process.poll() is None and not (out / "unfinished").exists():
            time.sleep(0.01)
        return process

    def finish(self, out: Path, *more: str) -> float:
        """Run to the end; seconds from the first file on."""
        process, begun = self.start(out, *more), time.monotonic()
        if process.wait():
            sys.exit(self.log.read_text())
        if not self.role_map.exists():
            self.role_map.write_bytes((out / "role_map.json").read_bytes())
        return time.monotonic() - begun

    def kill(self, out: Path, after: float, lasts: float) -> tuple[str | None, float]:
        """Kill it `after` seconds from the first file on.

        What it was doing, or None if it was over before; and how long a run `lasts`, as far as is known then.
        """
        process, begun = self.start(out), time.monotonic()
        while process.poll() is None and time.monotonic() - begun < after:
            time.sleep(0.002)
        if process.poll() is not None:
            return None, time.monotonic() - begun
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        epochs = sum(line.startswith("seed") for line in self.log.read_text().splitlines())
        left = [path for path in out.rglob("*") if path.is_file()]
        partial = sum(path.suffix == ".partial" for path in left)
        return f"killed after {after:.1f} s, epoch {epochs}, {len(left)} files, {partial} partial", lasts


def files(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


if __name__ == "__main__":
    main()
