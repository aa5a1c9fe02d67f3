"""Where the adapters of one job lie: one alone in the output folder, several below it, by what they differ in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from headroles.adapt.adapter.info import CONFIG, AdapterInfo
from headroles.adapt.metrics import name_shots

KINDS = ("shots-*", "without-*", "seed-*")
"""What folders between the output and an adapter are called, from the top."""


@dataclass(frozen=True)
class Draw:
    """What the training images of one adapter of a job are drawn by."""

    seed: int
    """Seed of shots and training."""
    shots: int | None
    """Training images a class; None for all of them."""
    held_out: str = ""
    """The domain that is left out, of a job that leaves each out in turn."""

    @classmethod
    def of(cls, info: AdapterInfo) -> Draw:
        """Of an adapter that is made."""
        return cls(info.seed, info.shots, info.held_out)

    @property
    def words(self) -> str:
        """As a progress line says it."""
        return f"seed {self.seed}" + (f" without {self.held_out}" if self.held_out else "")


def name_draws(draws: Sequence[Draw]) -> list[str]:
    """A name for each by all that they differ in, such as "4 shots, seed 2"; by the seed where that is nothing."""
    several = _differing(draws)
    names = ((name_shots(draw.shots), f"without {draw.held_out}", f"seed {draw.seed}") for draw in draws)
    return [", ".join(compress(each, several)) or each[-1] for each in names]


def _differing(draws: Sequence[Draw]) -> list[bool]:
    """Whether shots, domains and seeds are several."""
    return [len({getattr(draw, name) for draw in draws}) > 1 for name in ("shots", "held_out", "seed")]


def place_draws(output: Path, draws: Sequence[Draw]) -> dict[Draw, Path]:
    """The folder of every adapter of a job: `output`, with a folder below it for all that they differ in."""
    several = _differing(draws)
    return {draw: _place(output, draw, several) for draw in draws}


def _place(output: Path, draw: Draw, several: Sequence[bool]) -> Path:
    held_out = draw.held_out.replace("/", "%2F").replace("\\", "%5C")
    names = (f"shots-{'all' if draw.shots is None else draw.shots}", f"without-{held_out}", f"seed-{draw.seed}")
    return output.joinpath(*compress(names, several))


def list_places(output: Path) -> list[Path]:
    """The folders of an output in which adapters of a job may lie, finished or not; `output` is the first."""
    below = [path for kind in KINDS for path in sorted(output.glob(kind)) if path.is_dir()]
    return [output, *(place for path in below for place in list_places(path))]


def find_adapters(output: Path) -> list[Path]:
    """The adapter in a folder, or those of a job below it, by shots, domain and seed; none where there is none."""
    if (output / CONFIG).is_file():
        return [output]
    found = {folder: AdapterInfo.load(folder) for folder in list_places(output) if (folder / CONFIG).is_file()}
    return sorted(found, key=lambda folder: _order(Draw.of(found[folder])))


def _order(draw: Draw) -> tuple[bool, int, str, int]:
    return draw.shots is None, draw.shots or 0, draw.held_out, draw.seed
