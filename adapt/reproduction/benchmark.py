"""CoOp's benchmark: its tables, the data sets of each, and the trainings that they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headroles.adapt.data.coop import DATA_SETS
from headroles.adapt.methods.registry import METHODS
from headroles.errors import InputError

SOURCE, EUROSAT = "imagenet", "eurosat"
"""What cross-dataset and domain-shift train on; what decides rankings by itself, so that means come without it too."""
ELEVEN, SHIFTS = tuple(DATA_SETS)[:11], tuple(DATA_SETS)[11:]
"""The data sets of most tables, and ImageNet's shifts."""
OTHERS = tuple(name for name in ELEVEN if name != SOURCE)
"""What cross-dataset tests on."""
SHOTS = (1, 2, 4, 8, 16)
"""Of the few-shot table; the others have the last."""
ZERO_SHOT = "zero-shot"
"""The table, and the method, that a run is calibrated by."""
TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    ZERO_SHOT: ("base-to-novel", ELEVEN),
    "base-to-novel": ("base-to-novel", ELEVEN),
    "few-shot": ("few-shot", ELEVEN),
    "cross-dataset": ("cross-dataset", OTHERS),
    "domain-shift": ("domain-shift", (SOURCE, *SHIFTS)),
}
"""Table -> its protocol, and the data sets that it has figures of."""


@dataclass(frozen=True)
class Training:
    """A method trained on one data set, and what it is tested on; one adapter a seed."""

    table: str
    """One of `TABLES`."""
    method: str
    """One of `headroles.adapt.METHODS`."""
    data_set: str
    """What it trains on."""
    shots: int
    """Training images a class."""
    targets: tuple[str, ...] = ()
    """The other data sets that it is tested on."""

    @property
    def protocol(self) -> str:
        """Of `headroles.adapt.PROTOCOLS`."""
        return TABLES[self.table][0]

    def folder(self, output: Path, seed: int) -> Path:
        """Where its adapter goes."""
        return output / "runs" / self.table / self.method / self.data_set / f"{self.shots}-shot" / f"seed-{seed}"

    def __str__(self) -> str:
        """In words, for a line of progress."""
        return f"{self.table}: {self.method} on {self.data_set}, {self.shots} shot{'s' * (self.shots > 1)}"


def find_present(root: Path) -> tuple[str, ...]:
    """The data sets whose folder of images is there."""
    return tuple(name for name in DATA_SETS if folder_of(name, root).is_dir())


def folder_of(name: str, root: Path) -> Path:
    """Where a data set's images are looked for."""
    return root / DATA_SETS[name].folder / DATA_SETS[name].images


def list_trainings(
    tables: Sequence[str], methods: Sequence[str], shots: Sequence[int], present: Sequence[str]
) -> Iterator[Training]:
    """What can be trained with the data sets that are there. A method of closed sets is left out of other tables."""
    for table in tables:
        protocol, names = TABLES[table]
        there = tuple(name for name in names if name in present)
        for method in (ZERO_SHOT,) if table == ZERO_SHOT else methods:
            if METHODS[method].novel == "" and protocol in ("base-to-novel", "cross-dataset"):
                continue
            if protocol in ("base-to-novel", "few-shot"):
                each = shots if protocol == "few-shot" else SHOTS[-1:]
                yield from (Training(table, method, name, count) for count in each for name in there)
            elif SOURCE in present and any(name != SOURCE for name in there):
                yield Training(table, method, SOURCE, SHOTS[-1], tuple(name for name in there if name != SOURCE))


def check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """InputError for a name that is not known, or is there twice."""
    for number, name in enumerate(names):
        if name not in known:
            raise InputError(f"{what} must be among {', '.join(known)}, got {name!r}")
        if name in names[:number]:
            raise InputError(f"{what}: {name} is named twice; name it once")
    if not names:
        raise InputError(f"{what}: none is named; expected some of {', '.join(known)}")
