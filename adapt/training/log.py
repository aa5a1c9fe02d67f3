"""TrainingLog: what a training and its tests say, number by number, in log.csv, TensorBoard and Weights & Biases."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker

from headroles.adapt.metrics import Measure
from headroles.adapt.training.csv_log import CSV, CsvLog, Line, read_lines
from headroles.adapt.training.records import EpochRecord, Step
from headroles.errors import InputError, said
from headroles.files.whole import write_text

LOGS = ("csv", "tensorboard", "wandb")
"""Where numbers can be logged; log.csv is written beside the others too."""
FOLDER = "logs"
"""Below the adapter's folder; while the training is unfinished, below that of its checkpoint."""
_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
_STEP, _EPOCH, _TEST = "step/", "epoch/", "test/"


def check_log(names: Sequence[str]) -> None:
    """InputError for a name that is none of `LOGS`, or whose package is not installed."""
    for name in names:
        if name not in LOGS:
            raise InputError(f"log must be among {', '.join(LOGS)}, got {name!r}")
        packages = _PACKAGES.get(name, ())
        if packages and not any(map(_is_installed, packages)):
            raise InputError(f"log: {name} needs the package {packages[0]}; pip install {packages[0]}")


def _is_installed(package: str) -> bool:
    spec = find_spec(package)
    return spec is not None and spec.origin is not None  # A folder of that name, as wandb leaves one, is no package.


class TrainingLog:
    """The numbers of one training. Where it is resumed, all are written anew up to where it goes on: none is twice.

    Names begin with step/ (of a step: the loss and its parts; the accuracy is the mean over the epoch so far), epoch/
    (means over an epoch, the weights of the fusion, validation) and test/ (accuracies in the end).
    """

    def __init__(self, folder: Path, names: Sequence[str], label: str, settings: Mapping[str, Any]) -> None:
        """`folder`: of the logs. `label` and `settings` are what Weights & Biases calls the run and shows of it."""
        self.folder, self.names, self.label, self.settings = folder, names, label, settings
        self.csv, self.others = CsvLog(folder), list[GeneralTracker]()
        self._before: list[Line] | None = None

    def begin(self) -> None:
        """Open the logs; InputError where one cannot be opened."""
        if not self.names:
            return
        self._before = read_lines(self.folder / CSV)
        self.csv.start()
        PartialState()  # Accelerate's trackers ask it who speaks.
        for tracker in self._build_others():
            try:
                tracker.start()
            except Exception as error:
                remedy = "; WANDB_MODE=offline needs no server" if tracker.name == "wandb" else ""
                raise InputError(f"log: {tracker.name} cannot begin ({said(error)}){remedy}") from error
            self.others.append(tracker)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *error: object) -> None:
        for tracker in (self.csv, *self.others) if self.names else ():
            tracker.finish()

    def _build_others(self) -> list[GeneralTracker]:
        built: list[GeneralTracker] = []
        for name in self.names:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if "tensorboard" in self.names:
            built.append(TensorBoardTracker("tensorboard", self.folder))
        if "wandb" in self.names:
            (self.folder / "wandb").mkdir(parents=True, exist_ok=True)  # Where it lacks, it writes elsewhere.
            # Of a run that stays here it would say where it is now, not where it will be when the training is done.
            how = {"console": "off", "silent": os.environ.get("WANDB_MODE") == "offline"}
            known = {"id": self._run_id(), "resume": "allow", "name": self.label, "config": dict(self.settings)}
            built.append(WandBTracker("headroles", dir=str(self.folder), settings=how, **known))
        return built

    def _run_id(self) -> str:
        """The same before and after a stop."""
        path = self.folder / "wandb-id"
        if not path.is_file():
            write_text(path, uuid.uuid4().hex[:12])
        return path.read_text()

    def step(self, step: Step) -> None:
        """A step; after an epoch's last, the epoch too."""
        self._go_on(lambda line: line[0] < step.step)
        values = {"loss": sum(step.losses.values()), "accuracy": step.accuracy, "lr": step.lr}
        self._log(step.step, _STEP, {**values, **_parts("loss", step.losses)})
        if step.record:
            self._log(step.step, _EPOCH, _describe(step.record))

    def test(self, step: int, measures: Iterable[Measure]) -> None:
        """The accuracies after `step` steps."""
        self._go_on(lambda line: line[0] <= step and not line[1].startswith(_TEST))
        values = {
            f"{row.protocol}/{row.task}/{row.part}/{name}": getattr(row, name)
            for row in measures
            for name in ("zero_shot", "adapted")
        }
        self._log(step, _TEST, values)

    def _log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        for tracker in (self.csv, *self.others) if self.names else ():
            tracker.log({kind + name: float(value) for name, value in values.items()}, step=step)

    def _go_on(self, keep: Callable[[Line], bool]) -> None:
        """Once: what was logged before a stop and is not to come again."""
        if self._before is None:
            return
        before, self._before = list(filter(keep, self._before)), None
        self.csv.keep(before)
        for step, lines in groupby(before, key=lambda line: line[0]):
            values = {name: value for _, name, value in lines}
            for tracker in self.others:
                tracker.log(values, step=step)


def _describe(record: EpochRecord) -> dict[str, float]:
    """Its numbers by name."""
    values = {"loss": record.loss, "accuracy": record.accuracy, "lr": record.lr}
    values |= {} if record.validation is None else {"validation": record.validation}
    return {**values, **_parts("loss", record.losses), **_parts("alpha", record.alpha)}


def _parts(name: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}/{part}": value for part, value in values.items()}


def place_logs(unfinished: Path, folder: Path) -> None:
    """The logs of a training that is done take their place beside its adapter, instead of an earlier training's."""
    source, place = unfinished / FOLDER, folder / FOLDER
    partial = place.with_name(f"{FOLDER}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, partial, symlinks=True)
    if are_ours(place):
        shutil.rmtree(place)
    if partial.is_dir():
        partial.replace(place)


def are_ours(place: Path) -> bool:
    """Whether a folder holds the logs of a training."""
    return (place / CSV).is_file()
