"""Damaged inputs of every kind to every command: are they read right, or refused in one line, and nothing harmed?

`python benchmarks/hostile.py` makes whole inputs, damages one file of one kind at a time, runs a command on it in a
worker process, and counts by kind and command: tracebacks, messages that say "unexpected", errors that no check
foresaw, runs over 60 s, deaths of the worker, files of the user's that changed, damage that was taken for whole where a
hash, schema or range could tell, and half-made files or empty folders that were left. It exits with 1 where there is
any.
`--only NUMBER` repeats one input and prints all about it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import click
from benchmark import benchmark
from hostile_damage import damage
from hostile_inputs import CASES, Case, make_inputs

FAULTS = ("traceback", "unexpected", "unforeseen", "hang", "died", "changed", "taken", "left")
LAST_RESORT = "headroles_debug"
"""What the command line names where no check of ours foresaw an error: counted as that, whatever else its line says."""
_MEMORY = 12 * 2**30


@benchmark()
@click.option("--inputs", type=click.IntRange(min=1), default=5000, show_default=True, help="Damaged inputs.")
@click.option("--first", default=0, show_default=True, help="Number of the first: a run in parts, side by side.")
@click.option("--seed", default=0, show_default=True, help="Other seeds, other damage.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([case.kind for case in CASES]), help="Only these.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds a command may take.")
@click.option("--only", type=int, help="Repeat one input, by its number, and print what it says.")
@click.option("--refusals", is_flag=True, help="Print all messages, each once.")
def main(
    inputs: int, first: int, seed: int, kinds: tuple[str, ...], limit: float, only: int | None, refusals: bool
) -> None:
    """Run damaged inputs and count what goes wrong."""
    cases = [case for case in CASES if not kinds or case.kind in kinds]
    begun, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory() as place:
        worker = Worker(limit)
        field_ = Field(Path(place).resolve(), worker)
        field_.grow()
        for case in cases if only is None else ():
            field_.check(case)
        click.echo(f"whole inputs after {time.monotonic() - begun:.0f} s")
        for number in range(first, first + inputs) if only is None else (only,):
            if only is None and number > first and number % 500 == 0:
                click.echo(f"{number} inputs after {time.monotonic() - begun:.0f} s")
            tally.add(field_.trial(cases[number % len(cases)], number, random.Random(f"{seed} {number}")), only)
        worker.stop()
    tally.report(time.monotonic() - begun, refusals)
    sys.exit(1 if tally.faults.total() else 0)


@dataclass
class Outcome:
    """How a command ended."""

    code: int | None
    """None where it had to be killed, or died."""
    out: str = ""
    err: str = ""
    faults: set[str] = field(default_factory=set)
    label: tuple[str, str, str, int] = ("", "", "", 0)
    """Kind of input, command, damage, number."""


class Worker:
    """A process that runs commands one by one; it is started again when it dies or takes too long."""

    def __init__(self, limit: float) -> None:
        self.limit, self.context = limit, multiprocessing.get_context("spawn")
        self.start()

    def start(self) -> None:
        """A new process."""
        self.pipe, other = self.context.Pipe()
        self.process = self.context.Process(target=serve, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.pipe.recv()  # It has imported what it needs.

    def run(self, arguments: Sequence[str], folder: Path, limit: float | None = None) -> Outcome:
        """One command, in `folder`."""
        self.pipe.send((list(arguments), str(folder)))
        try:
            if self.pipe.poll(limit or self.limit):
                return Outcome(*self.pipe.recv())
            outcome = Outcome(None, faults={"hang"})
        except EOFError:
            outcome = Outcome(None, faults={"died"})
        self.stop()
        self.start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


def serve(pipe: Connection) -> None:
    """Run what comes, as `headroles` would."""
    import resource

    import torch
    import transformers  # noqa: F401

    from headroles.cli import main as cli

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.RLIM_INFINITY))
    pipe.send(None)
    while True:
        try:
            arguments, folder = pipe.recv()
        except EOFError:  # The one who asks is gone.
            return
        os.chdir(folder)
        pipe.send(_call(cli.main, arguments))


def _call(entry, arguments: list[str]) -> tuple[int, str, str]:
    sys.argv = ["headroles", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            entry()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:
            code = 1
            print(f"Traceback: {type(error).__name__}: {error}", file=err)
    return code, out.getvalue(), err.getvalue()


class Field:
    """The whole inputs, and a place for each trial."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self.whole, self.trials, self.worker = folder / "whole", folder / "trials", worker
        self.results: dict[str, tuple[str, dict[str, str]]] = {}

    def grow(self) -> None:
        """Make the whole inputs, and what states and indices lead to undamaged."""
        self.whole.mkdir()

        def run(*arguments: str, stopped: bool = False) -> None:
            code, _, err = _call(_entry(), list(arguments))
            if code not in ((130,) if stopped else (0,)):
                sys.exit(f"{' '.join(arguments)}: {err}")

        make_inputs(self.whole, run)
        for case in CASES:
            if case.schema and not fits((self.whole / case.needs[0]).read_bytes(), case.schema):
                sys.exit(f"{case.kind}: the whole one does not fit {case.schema}")

    def trial(self, case: Case, number: int, rng: random.Random) -> Outcome:
        """Copy, damage, run, look."""
        command = rng.choice(case.commands)
        place = self.trials / str(number)
        copies, out = self._copy(case, place)
        targets = sorted(path for path in copies.glob(case.damaged) if path.is_file())
        target = rng.choice(targets)
        content, how = damage(target.name, target.read_bytes(), rng)
        target.write_bytes(content)
        before = hashes(copies)
        outcome = self.worker.run(self._fill(command, copies, out), place)
        outcome.label = (case.kind, command[0], f"{target.name} {how}", number)
        outcome.faults |= self._look(case, command, how, outcome, out)
        if outcome.code in (0, 130) and case.schema and not fits(content, case.schema):
            outcome.faults.add("taken")
        if not case.goes_on and hashes(copies) != before:
            outcome.faults.add("changed")
        shutil.rmtree(place)
        return outcome

    def check(self, case: Case) -> None:
        """Every command reads the whole input: else its refusals of damaged ones would say nothing."""
        for command in case.commands:
            copies, out = self._copy(case, self.trials / "whole")
            outcome = self.worker.run(self._fill(command, copies, out), self.trials / "whole")
            shutil.rmtree(self.trials / "whole")
            if outcome.code:
                sys.exit(f"{case.kind}, {command[0]}: refuses the whole one: {outcome.err}")

    def _copy(self, case: Case, place: Path) -> tuple[Path, Path]:
        out = place / "out"
        copies = out if case.goes_on else place / "in"
        copies.mkdir(parents=True)
        for name in case.needs:
            source, target = self.whole / name, copies / Path(name).name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        return copies, out

    def _fill(self, command: tuple[str, ...], copies: Path, out: Path) -> list[str]:
        return [part.format(**{"in": copies, "out": out, "whole": self.whole}) for part in command]

    def _look(self, case: Case, command: tuple[str, ...], how: str, outcome: Outcome, out: Path) -> set[str]:
        """What went wrong."""
        faults = set(find_words(outcome.err))
        if outcome.code in (0, 130) and how in case.refused:
            faults.add("taken")
        if case.goes_on and outcome.code == 0 and _result(outcome, out) != self._undamaged(case, command, out):
            faults.add("taken")
        if outcome.code not in (0, None) and not case.goes_on and _left(out):
            faults.add("left")
        return faults

    def _undamaged(self, case: Case, command: tuple[str, ...], out: Path) -> tuple[str, dict[str, str]]:
        """What the command prints and writes without damage, at the same place."""
        if case.kind not in self.results:
            kept = out.with_name("kept")
            out.rename(kept)
            self._copy(case, out.parent)
            found = self.worker.run(self._fill(command, out, out), out.parent)
            self.results[case.kind] = _result(found, out)
            shutil.rmtree(out)
            kept.rename(out)
        return self.results[case.kind]


def find_words(err: str) -> Iterator[str]:
    """The faults that the words on stderr show, each line counted as one of them."""
    for line in err.lower().splitlines():
        if LAST_RESORT in line:
            yield "unforeseen"
        elif "traceback" in line or "unexpected" in line:
            yield "traceback" if "traceback" in line else "unexpected"


def _result(outcome: Outcome, out: Path) -> tuple[str, dict[str, str]]:
    """What was printed, wherever that was, and what was written."""
    return outcome.out.replace(str(out), "OUT"), hashes(out)


def fits(content: bytes, schema: str) -> bool:
    """Whether a file is JSON that a schema of ours lets through."""
    from jsonschema import Draft202012Validator

    text = (Path(__file__).parents[1] / schema).read_text(encoding="utf-8")
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=float)
    except (ValueError, RecursionError):
        return False
    return Draft202012Validator(json.loads(text)).is_valid(value)


def _entry():
    from headroles.cli import main as cli

    return cli.main


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file below a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file()) if folder.exists() else ()
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _left(out: Path) -> bool:
    """Whether an empty folder or a half-made file was left; a state to resume from is none."""
    inside = list(out.rglob("*")) if out.exists() else [out]
    return out.exists() and (not inside or any(path.suffix == ".partial" for path in inside))


class Tally:
    """Counts by kind and command, and the inputs that went wrong."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[tuple[str, str, str]] = Counter()
        self.messages: Counter[str] = Counter()

    def add(self, outcome: Outcome, only: int | None) -> None:
        """Count one; say what is wrong at once."""
        kind, command, how, number = outcome.label
        self.runs[kind, command] += 1
        self.refused[kind, command] += outcome.code not in (0, None)
        self.messages[f"{kind} / {command} / {how}: {outcome.err.strip()[-200:]}"] += outcome.code not in (0, None)
        for fault in sorted(outcome.faults):
            self.faults[kind, command, fault] += 1
            last = outcome.err.strip().splitlines()[-1:] or [""]
            click.echo(f"  {fault}: --only {number}, {kind}, {command}, {how}, code {outcome.code}: {last[0][:300]}")
        if only is not None:
            click.echo(f"code {outcome.code}\n{outcome.out}\n{outcome.err}")

    def report(self, seconds: float, refusals: bool) -> None:
        """The counts."""
        for message in sorted(+self.messages) if refusals else ():
            click.echo(message)
        heading = " ".join(f"{each:>10}" for each in FAULTS)
        click.echo(f"{'input':<14} {'command':<9} {'runs':>5} {'refused':>7} {heading}")
        for (kind, command), runs in sorted(self.runs.items()):
            counts = " ".join(f"{self.faults[kind, command, each]:>10}" for each in FAULTS)
            click.echo(f"{kind:<14} {command:<9} {runs:>5} {self.refused[kind, command]:>7} {counts}")
        total = " ".join(f"{sum(self.faults[key] for key in self.faults if key[2] == each):>10}" for each in FAULTS)
        click.echo(f"{'all':<24} {self.runs.total():>5} {self.refused.total():>7} {total}  {seconds:.0f} s")


if __name__ == "__main__":
    main()
