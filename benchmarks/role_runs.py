"""The trainings behind `roles_help.py`: every variant of a test on a task with a seed, each a curve over strength."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headroles import HookedCLIP, RoleMap, load, score
from headroles.adapt import METHODS, Task, TrainConfig, fit, open_task
from headroles.adapt.data.tasks import Example, TaskImages
from headroles.adapt.methods.method import Method
from headroles.adapt.results.average_curve import average_curve
from headroles.models.precision import half_precision
from headroles.shapes.tasks import RETENTION
from headroles.shapes.tasks import TASKS as SHAPES_TASKS

TASKS = tuple(name for name in SHAPES_TASKS if name not in RETENTION)
MASKS, AVERAGES, LOW_RANK = TESTS = ("masks", "averages", "low-rank")
MASKED: Mapping[str, Mapping[str, Any]] = {
    **{mask: {"mask": mask} for mask in ("role", "open", "layer", "random", "inverted", "soft", "learned")},
    "free": {"mask": "learned", "mask_start": "uniform", "lambda_mask": 0.0},
}
"""Variants of test a: DeAR's settings. "learned" begins at the role map's weights and is held near them; "free" begins
with all alike and is held by nothing, so that its end says where the task alone would put them."""
SHARED = ("uniform", "role", "random", "inverted")
HEADS = ("attribute", "generalization", "random", "inverted")
STRENGTHS = tuple(round(0.1 * step, 1) for step in range(11))
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
RATES: Mapping[str, Mapping[str, float]] = {
    "shapes": {MASKS: 2e-3, AVERAGES: 5e-4, LOW_RANK: 1e-1},
    "shapes-natural": {MASKS: 5e-4, AVERAGES: 5e-4, LOW_RANK: 2e-1},
}
"""Learning rates by model and test, chosen by `roles_help.py --tune`; of low rank in shapes-natural, whose best rate
lies beyond where the model forgets, the best of the first grid."""
TRAININGS = {
    MASKS: TrainConfig(epochs=20, batch=16),
    AVERAGES: TrainConfig(epochs=20, batch=32, warmup_epochs=0),
    LOW_RANK: TrainConfig(epochs=20, batch=16),
}
FEW = 10
"""Pictures a class of the tasks of retention in test b, where every average runs the whole model."""


@dataclass(frozen=True)
class Plan:
    """What all runs of a call share."""

    model: str
    """"shapes" or another bundled model."""
    output: Path
    """Role maps, and while they run, views and checkpoints."""
    low_rank: str = "clip-svd"
    """The method of test c."""
    shots: int = 16
    """Training images a class."""
    split: str = "test"
    """What is tested."""
    epochs: int | None = None
    """Of every training; None: as in TRAININGS."""
    rates: tuple[tuple[str, float], ...] = ()
    """Learning rates by test, where they are not those of RATES."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Settings of every mask in test a, where they are not DeAR's defaults."""
    precision: str = "no"
    """What is tested is computed in this: "no" (fp32) or "bf16". Trainings are fp32: their small steps gain nothing."""


@dataclass(frozen=True)
class Unit:
    """A test on a task with a seed: its variants share views and what of the tested images is computed once."""

    test: str
    """One of TESTS."""
    task: str
    """Without "shapes:"."""
    seed: int
    """Of shots, training and shuffles."""
    variants: tuple[str, ...]
    """Which of the test's variants."""


def variants_of(test: str) -> tuple[str, ...]:
    """All variants of a test."""
    return {MASKS: tuple(MASKED), AVERAGES: SHARED, LOW_RANK: HEADS}[test]


class Bench:
    """A bundled model and its role maps."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.model: HookedCLIP = load(plan.model, "cpu")
        self.kept = [self._open(name) for name in RETENTION]
        # Room for all halves and the tasks of retention: 1 GB.
        self._read = lru_cache(64)(self._read_images)
        self.role_map = lru_cache(None)(self._role_map)

    def _open(self, name: str) -> Task:
        """The task, whose test images are those of the plan's split."""
        task = open_task(f"shapes:{name}")
        return replace(task, test=getattr(task, self.plan.split))

    def _role_map(self, layers: str) -> RoleMap:
        """Of "deep" or "all" layers, by texts on rendered scenes; made once."""
        path = self.plan.output / self.plan.model / f"role_map_{layers}.json"
        if not path.is_file():
            score(self.model, "shapes", "shapes", layers=layers).save(path)
        return RoleMap.load(path)

    def key(self, unit: Unit, variant: str) -> str:
        """Names a run: all that its figures depend on."""
        settings = {**asdict(self.plan), **asdict(unit), "variant": variant, "train": self._training(unit).to_dict()}
        settings |= {"output": "", "rates": (), "variants": (), "method": self._settings(unit, variant)}
        del settings["settings"]  # They are the method's.
        settings["roles"] = self.role_map(_layers_of(unit.test)).to_json()
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def _training(self, unit: Unit) -> TrainConfig:
        train = TRAININGS[unit.test]
        epochs = self.plan.epochs or train.epochs
        views = 0 if unit.test == AVERAGES else epochs
        warm = min(train.warmup_epochs, epochs - 1)
        rate = {**RATES[self.plan.model], **dict(self.plan.rates)}[unit.test]
        return replace(train, lr=rate, seed=unit.seed, epochs=epochs, warmup_epochs=warm, cache_views=views)

    def _settings(self, unit: Unit, variant: str) -> dict[str, Any]:
        if unit.test == MASKS:
            return {**MASKED[variant], **dict(self.plan.settings), "mask_seed": unit.seed}
        if unit.test == AVERAGES:
            return {"roles_seed": unit.seed}
        return {"heads": variant, "roles_seed": unit.seed, "text": False}

    def run(self, unit: Unit) -> Iterator[dict[str, Any]]:
        """A row a variant: curves of base, novel and kept accuracy over strength, and the CPU seconds that it took."""
        scratch = self.plan.output / self.plan.model / "scratch" / f"{unit.test}-{unit.task}-{unit.seed}"
        halves = self._open(unit.task).halves()
        shot = open_task(f"shapes:{unit.task}").few_shot(self.plan.shots, unit.seed).halves()[0]
        try:
            if unit.test == AVERAGES:
                yield from self._run_averages(unit, shot, scratch)
            else:
                for variant in unit.variants:
                    start = time.process_time()
                    method = self._train(unit, variant, shot, scratch)
                    curves = self._mix(method, halves)
                    yield self._row(unit, variant, curves, start) | _found(method)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _train(self, unit: Unit, variant: str, shot: Task, scratch: Path) -> Method:
        name = {MASKS: "dear", AVERAGES: "clip-cite", LOW_RANK: self.plan.low_rank}[unit.test]
        kind, role_map = METHODS[name], self.role_map(_layers_of(unit.test))
        settings = kind.settings(**self._settings(unit, variant))
        method = kind(self.model, role_map, settings, unit.seed, shot.classes)
        fit(method, shot, self._training(unit), scratch / variant, views=scratch / f"views-{method.layer}")
        return method.eval()

    def _run_averages(self, unit: Unit, shot: Task, scratch: Path) -> Iterator[dict[str, Any]]:
        """One training; a row an average."""
        start = time.process_time()
        method = self._train(unit, "uniform", shot, scratch)
        kept = [replace(task, test=_thin(task)) for task in self.kept]
        given: dict[str, Any] = {"alphas": ALPHAS, "averages": unit.variants, "roles_seeds": (unit.seed,)}
        with half_precision(self.model.device, self.plan.precision):
            frame = average_curve(method, self._open(unit.task), kept, **given).to_frame()
        for variant, rows in frame.groupby("average"):
            curves = {name: rows[name].tolist() for name in ("base", "novel", "kept")}
            yield self._row(unit, str(variant), {"strengths": list(ALPHAS), **curves}, start)
            start = time.process_time()

    def _row(self, unit: Unit, variant: str, curves: dict[str, Any], start: float) -> dict[str, Any]:
        named = {"test": unit.test, "task": unit.task, "seed": unit.seed, "variant": variant}
        seconds = round(time.process_time() - start, 1)
        return {"key": self.key(unit, variant), "model": self.plan.model, **named, **curves, "seconds": seconds}

    @torch.inference_mode()
    def _mix(self, method: Method, halves: tuple[Task, Task]) -> dict[str, Any]:
        """Accuracies of (1 - s) zero-shot logits + s adapted logits over the strengths s."""
        with half_precision(self.model.device, self.plan.precision):
            base, novel, *kept = (self._accuracies(method, task) for task in (*halves, *self.kept))
        curves = {"base": base, "novel": novel, "kept": np.mean(kept, axis=0)}
        return {"strengths": list(STRENGTHS), **{name: values.tolist() for name, values in curves.items()}}

    def _accuracies(self, method: Method, task: Task) -> np.ndarray:
        trunk, frozen, labels = self._read(task.test, method.layer)
        classes = method.class_trunk(task.classes, task.template)
        texts, before = method.encode_texts(classes), method.scale * frozen @ classes.frozen.T
        after = torch.cat([method.logits(method.encode_images(part), texts) for part in trunk.split(200)])
        mixed = ((1 - s) * before + s * after for s in STRENGTHS)
        return np.array([(logits.argmax(1) == labels).double().mean().item() for logits in mixed])

    @torch.inference_mode()
    def _read_images(
        self, examples: tuple[Example, ...], layer: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The residual stream before `layer`, frozen unit embeddings, and labels."""
        images = TaskImages(examples, self.model.processor, False, 0, 0)
        tower, pixels = self.model.visual, torch.stack([images[row][1] for row in range(len(images))])
        parts = [tower.run(self.model.start_images(part), range(layer)) for part in pixels.split(200)]
        ends = torch.cat([tower.read(tower.run(part, range(layer, tower.layers))[:, 0]) for part in parts])
        labels = torch.tensor([example.label for example in examples])
        return torch.cat(parts), torch.nn.functional.normalize(ends, dim=-1), labels


def _layers_of(test: str) -> str:
    """Layers of the role map: masks and chosen heads as DeAR has them; an average is of all."""
    return "all" if test == AVERAGES else "deep"


def _thin(task: Task) -> tuple[Example, ...]:
    """The first FEW test images of every class."""
    rows = [[example for example in task.test if example.label == label][:FEW] for label in range(len(task.classes))]
    return tuple(example for row in rows for example in row)


def _found(method: Method) -> dict[str, Any]:
    """Of learned masks, their rank correlation with the role map's weights."""
    masks = getattr(method, "role_masks", None)
    found = masks.correlate() if masks is not None else None
    return {} if found is None else {"rho": found.rho, "p": found.p_value}


def units(tests: Sequence[str], tasks: Sequence[str], seeds: Sequence[int]) -> list[Unit]:
    """All that is to be run, seed by seed, so that a stopped call has all tasks of the first seeds."""
    return [Unit(test, task, seed, variants_of(test)) for seed in seeds for test in tests for task in tasks]
