"""A disk that is full or read-only at each step of writing: one line, nothing half-written, nothing left.

`python benchmarks/full_disk.py` runs each command once and counts where it opens a file to write, makes a folder or
renames below its output. Then it runs the command again for every such step and every kind of failure: at this step
alone (no space), from it on (no permission), and with no byte written from it on (file too large, by the system's own
limit, so that libraries' writers in C meet it too). It exits with 1 where a run says more than one line of error, ends
with a code other than 2, or leaves a temporary file, an empty folder, a lock, or a result other than the whole one.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from benchmark import benchmark
from hostile import _call, _entry, hashes
from hostile_inputs import ADAPT, FIGURE, SCORE, make_inputs

KINDS = {"once": errno.ENOSPC, "from then on": errno.EACCES, "no byte": 0}
"""How it fails -> the error's number; 0: the system's."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "score": (*SCORE, "--count", "16", "--output", "{out}"),
    "validate": ("validate", "{whole}/roles/role_map.json", "--count", "16", "--draws", "20", "--bootstraps", "20",
                 "--output", "{out}"),
    "adapt": (*ADAPT, "--task", "{whole}/photos", "--role-map", "{whole}/roles/role_map.json", "--output", "{out}"),
    "retrieve": ("retrieve", "{whole}/roles/role_map.json", "--query", "{whole}/photos/a/0.png", "--images",
                 "{whole}/photos", "--heads", "L7.H3", "--index", "{out}/index", "--workers", "0"),
    "merge": ("merge", "{whole}/shards", "--output", "{out}"),
    "plot": ("plot", "{whole}/roles/role_map.json", "--kind", "entropy", *FIGURE),
    "report": ("report", "{whole}/roles/role_map.json", "--images", "none", "--output", "{out}/page.html"),
    "attend": ("attend", "{whole}/roles/role_map.json", "--image", "{whole}/photos/a/0.png", "--heads", "L7.H3",
               *FIGURE),
    "evaluate": ("evaluate", "{whole}/adapter", "--task", "{whole}/photos", "--workers", "0", "--output", "{out}"),
    "export": ("export", "{whole}/adapter", "--output", "{out}"),
    "debias": ("debias", "{whole}/roles/role_map.json", "--learn", "{out}/weights.json", "--task",
               "{whole}/groups.csv", "--draws", "2", "--steps", "2"),
}  # fmt: skip


@dataclass
class Disk:
    """What goes wrong below a folder, and when: an audit hook of Python, which cannot be taken away again."""

    below: str = ""
    """"": nothing is watched."""
    fails: int = -1
    """Number of the step, from 0; -1: none."""
    kind: str = "once"
    steps: int = 0

    def watch(self, event: str, given: tuple[Any, ...]) -> None:
        """Count a step of writing, and fail."""
        if not self.below or not writes(event, given, self.below):
            return
        number, self.steps = self.steps, self.steps + 1
        if self.fails < 0 or number < self.fails or (self.kind == "once" and number > self.fails):
            return
        if KINDS[self.kind]:
            raise OSError(KINDS[self.kind], os.strerror(KINDS[self.kind]), given[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def writes(event: str, given: tuple[Any, ...], below: str) -> bool:
    """Whether Python is about to make a folder, rename, or open a file to write, below a folder."""
    if event not in ("os.mkdir", "os.rename", "open") or not str(given[0]).startswith(below):
        return False
    return event != "open" or bool(given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@benchmark()
@click.option("--command", "commands", multiple=True, type=click.Choice(list(COMMANDS)), help="Only these.")
def main(commands: tuple[str, ...]) -> None:
    """Fail at each step of each command's writing."""
    import torch

    torch.set_num_threads(1)
    disk, begun, wrong = Disk(), time.monotonic(), 0
    sys.addaudithook(disk.watch)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place).resolve() / "whole"
        whole.mkdir()
        make_inputs(whole, lambda *arguments, stopped=False: _call(_entry(), list(arguments)))
        for name in commands or COMMANDS:
            wrong += trials(name, whole, disk)
    click.echo(f"{wrong} wrong; {time.monotonic() - begun:.0f} s")
    sys.exit(1 if wrong else 0)


def trials(name: str, whole: Path, disk: Disk) -> int:
    """How many runs of a command went wrong."""
    out = whole.parent / "out"
    arguments = [part.format(out=out, whole=whole) for part in COMMANDS[name]]
    code, _, err = run(arguments, out, disk, -1, "once")
    if code:
        sys.exit(f"{name}: {err}")
    good, steps, codes, wrong = hashes(out), disk.steps, Counter[str](), 0
    shutil.rmtree(out)
    for kind in KINDS:
        for step in range(steps):
            code, _, err = run(arguments, out, disk, step, kind)
            codes[kind] += code == 2
            faults = list(find_faults(code, err, out, good))
            for fault in faults:
                click.echo(f"  {name}, step {step}, {kind}: {fault}")
            wrong += bool(faults)
            shutil.rmtree(out, ignore_errors=True)
    refused = ", ".join(f"{kind} {codes[kind]}" for kind in KINDS)
    click.echo(f"{name:<9} {steps:>3} steps; refused: {refused}; {wrong} wrong")
    return wrong


def run(arguments: list[str], out: Path, disk: Disk, step: int, kind: str) -> tuple[int, str, str]:
    """A command whose writing fails at a step."""
    disk.below, disk.fails, disk.kind, disk.steps = str(out), step, kind, 0
    try:
        return _call(_entry(), arguments)
    finally:
        disk.below = ""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def find_faults(code: int, err: str, out: Path, good: dict[str, str]):
    """What a user would not want to see."""
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    if code == 0 and hashes(out) != good:
        yield "code 0, and other files than without failure"
    if code not in (0, 2) or (code == 2 and len(errors) != 1):
        yield f"code {code}: {err.strip()[-300:]}"
    if any(word in err.lower() for word in ("traceback", "unexpected", "headroles_debug")):
        yield f"says {err.strip()[-300:]}"
    for path in (out, *sorted(out.rglob("*"))) if out.exists() else ():
        name = path.relative_to(out).as_posix()
        if path.is_dir() and not any(path.iterdir()):
            yield f"an empty folder {name}"
        if path.suffix in (".partial", ".lock") or "partial" in path.name:
            yield f"left {name}"
        if code and path.is_file() and not name.startswith("unfinished/"):
            yield f"left {name}"


if __name__ == "__main__":
    main()
