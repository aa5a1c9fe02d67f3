"""fit(): train a method's tensors on a task. It stops, resumes and repeats exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from headroles.adapt.config import LAST, TrainConfig
from headroles.adapt.data.tasks import Task
from headroles.adapt.methods.averaging import add_weighted
from headroles.adapt.methods.features import Batch, add_terms
from headroles.adapt.methods.method import Look, Method
from headroles.adapt.training.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from headroles.adapt.training.fingerprint import fingerprint
from headroles.adapt.training.optimizer import build_optimizer, clip_gradients
from headroles.adapt.training.processes import add_up_gradients, is_main, on_main, open_accelerator, share
from headroles.adapt.training.records import EpochRecord, Step
from headroles.adapt.training.trunk_cache import Trunks
from headroles.adapt.training.validation import check_validation, choose_epoch, validation_accuracy
from headroles.checks import typed
from headroles.errors import InputError

Progress = Callable[[Step], None]
_KEPT = "best"
"""What a checkpoint calls the tensors that are kept beside the latest."""


@typed
def fit(
    method: Method,
    task: Task,
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    workers: int = 0,
    views: Path | None = None,
    progress: Progress | None = None,
) -> tuple[EpochRecord, ...]:
    """Train `method` on the task's training images and return one record an epoch; none where it takes no steps.

    After every epoch the state is written below `output`/unfinished, where it stays until the adapter is saved.
    `resume` goes on from there, to the bit-identical result: order and augmentation depend on the seed, the epoch and
    the image's number alone. Under several processes a batch is shared out, and the gradient is that of the whole.
    `workers` processes decode images. `views`: where `cache_views` keeps its files, to be shared by trainings on the
    same images with the same model, layer and seed; by default they go with the unfinished state. Raises InputError
    where the loss stops being a number, where `resume` finds a training with other settings, or where `select_epoch`
    is validation and a class has no validation image. In the end `method` has the tensors of the epoch that is taken.
    """
    _check(method, task, config)
    training = _Training(method, task, config, output, workers, views)
    settings = fingerprint(method, task, config)
    on_main(lambda: training.checkpoint.begin(settings, method.role_map, resume))
    with torch.random.fork_rng(devices=[method.device] if method.device.type == "cuda" else []):
        history = training.begin(resume)
        for epoch in range(len(history), config.epochs if training.trained else 0):
            torch.manual_seed(_draw_seed(config, epoch))
            last, record = training.run_epoch(epoch, progress)
            history.append(record)
            training.keep(history)
            if progress:
                progress(dataclasses.replace(last, record=history[-1]))
            training.save(history)
    training.end()
    return tuple(history)


def _check(method: Method, task: Task, config: TrainConfig) -> None:
    """InputError where the task cannot be trained on."""
    if not task.train:
        raise InputError(f"task: {task.name} has no training images; expected at least one a class")
    if method.classes and method.classes != task.classes:
        raise InputError(
            f"classes: {method.name} was built for {', '.join(method.classes[:5])}, and {task.name} trains "
            f"{', '.join(task.classes[:5])}; build it with the task's classes"
        )
    check_validation(task, config)
    if config.select_epoch != LAST and method.epoch_weights(config.epochs) is not None:
        raise InputError(f"select_epoch: {method.name} takes the mean over its epochs; use select_epoch {LAST}")


def _draw_seed(config: TrainConfig, epoch: int) -> int:
    return int(np.random.default_rng([config.seed, epoch, 1]).integers(2**62))


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits the images."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Rate of step `step`, from 0: `warmup_lr` for the warm-up epochs, then `lr`, as the schedule says.

    A cosine falls from it to 0.
    """
    warm = config.warmup_epochs * steps_per_epoch
    if step < warm:
        return config.warmup_lr
    if config.schedule == "constant":
        return config.lr
    done = (step - warm) / max(1, config.epochs * steps_per_epoch - warm)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


class _Training:
    """Everything that lives as long as one training."""

    def __init__(
        self, method: Method, task: Task, config: TrainConfig, output: Path, workers: int, views: Path | None
    ) -> None:
        self.method, self.task, self.config = method, task, config
        self.accelerator: Accelerator = open_accelerator(method.device, config.precision)
        self.checkpoint = Checkpoint(output)
        self.trunks = Trunks(method, task, config, self.accelerator, views or self.checkpoint.folder / "views", workers)
        self.steps = math.ceil(len(task.train) / config.batch)
        self.weights = method.epoch_weights(config.epochs)
        self.kept: dict[str, Tensor] = {}
        """The tensors of the best epoch so far, or the mean over epochs so far; none where the last is taken."""
        self.workers = workers

    def begin(self, resume: bool) -> list[EpochRecord]:
        """Take up the checkpoint, if there is one yet, or what the method takes from the images before any step."""
        loaded = self.checkpoint.load() if resume else None
        if loaded is None:
            torch.manual_seed(self.config.seed)
            with torch.no_grad():
                self.method.start(self.trunks.look)
            self._open_optimizer()
            return []
        tensors, state = loaded
        trained, self.kept = (_below(name, tensors) for name in (self.method.name, _KEPT))
        self.method.make_room(trained)
        self.method.load_state_dict(trained)
        self._open_optimizer()
        restore_optimizer(self.optimizer, tensors)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return [EpochRecord(**record) for record in state["history"]]

    def _open_optimizer(self) -> None:
        groups = self.method.trained_groups()
        self.trained = [tensor for group in groups for tensor in group.tensors]
        if self.trained:
            self.optimizer = self.accelerator.prepare(build_optimizer(groups, self.config))

    def save(self, history: list[EpochRecord]) -> None:
        """Write the checkpoint, unless the weights went bad in the epoch's last step."""
        for name, parameter in self.method.named_parameters():
            if not parameter.isfinite().all():
                raise self._broken(f"{name} is not finite after", len(history))
        if is_main():
            scaler = self.accelerator.scaler
            tensors = {f"{self.method.name}.{name}": value for name, value in self.method.state_dict().items()}
            tensors |= {f"{_KEPT}.{name}": value for name, value in self.kept.items()}
            state = {
                "history": [dataclasses.asdict(record) for record in history],
                "scaler": None if scaler is None else scaler.state_dict(),
            }
            self.checkpoint.save(tensors | optimizer_tensors(self.optimizer), state)

    def keep(self, history: list[EpochRecord]) -> None:
        """Take the epoch's tensors into the mean; or note what they give on validation images, and keep the best."""
        if self.weights is not None:
            add_weighted(self.kept, self.method.state_dict(), self.weights[len(history) - 1])
        if self.config.select_epoch == LAST:
            return
        self.method.eval()
        found = validation_accuracy(self.method, self.task, self.workers)
        history[-1] = dataclasses.replace(history[-1], validation=found)
        if choose_epoch(history) == history[-1].epoch:
            self.kept = {name: value.clone() for name, value in self.method.state_dict().items()}

    def end(self) -> None:
        """Go back to the tensors that were kept, where there are any, and let the method change them once more."""
        if self.kept:
            self.method.load_state_dict(self.kept)
        with torch.no_grad():
            self.method.finish()
            self.method.eval()
            self.method.settle(self.trunks.look, self._look_at_validation())

    def _look_at_validation(self) -> Look | None:
        """The validation images, where the method chooses something by them and there are any."""
        if not self.task.val or not self.method.validates(self.method.config):
            return None
        task = dataclasses.replace(self.task, train=self.task.val)
        return Trunks(self.method, task, self.config, self.accelerator, self.trunks.folder, self.workers).look

    def run_epoch(self, epoch: int, progress: Progress | None) -> tuple[Step, EpochRecord]:
        """One pass over the training images; its last step is returned, the others are told."""
        self.method.train()
        totals: dict[str, float] = {}
        seen, last = 0, None
        for row, (size, batch) in enumerate(self._batches(epoch)):
            step = epoch * self.steps + row
            if last and progress:
                progress(last)
            rate = learning_rate(self.config, step, self.steps)
            parts = self._step(batch, rate, epoch)
            seen += size
            totals = {name: totals.get(name, 0.0) + value * size for name, value in parts.items()}
            means = {name: value / seen for name, value in totals.items()}
            accuracy, _ = means.pop("accuracy"), parts.pop("accuracy")
            whole = (self.steps * self.config.epochs, epoch + 1, sum(means.values()), accuracy)
            last = Step(step + 1, *whole, None, parts, rate)
        assert last is not None  # `fit` refuses a task without training images.
        return last, self._record(epoch, means, accuracy, rate)

    def _record(self, epoch: int, losses: dict[str, float], accuracy: float, rate: float) -> EpochRecord:
        return EpochRecord(epoch + 1, sum(losses.values()), losses, accuracy, rate, self.method.fusion_weights())

    def _batches(self, epoch: int) -> Iterator[tuple[int, Batch]]:
        """The size of every batch and this process's share of it."""
        order = epoch_order(len(self.task.train), self.config.seed, epoch).tolist()
        whole = [order[start : start + self.config.batch] for start in range(0, len(order), self.config.batch)]
        # A process without a share computes an image all the same, with weight 0: all add up the same gradients.
        shares = [share(batch) or batch[:1] for batch in whole]
        weights = [len(share(batch)) / len(batch) for batch in whole]
        for batch, weight, part in zip(whole, weights, self.trunks.batches(epoch, shares), strict=True):
            yield len(batch), dataclasses.replace(part, weight=weight)

    def _step(self, batch: Batch, rate: float, epoch: int) -> dict[str, float]:
        """One step of the optimizer; the batch's mean losses, and its accuracy as "accuracy"."""
        with self.accelerator.autocast():
            logits, losses = self.method(batch)
        self.optimizer.zero_grad()
        self.accelerator.backward(add_terms(losses) * batch.weight)
        accuracy = (logits.argmax(-1) == batch.labels).float().mean()
        own = torch.stack([*(value.detach().float() for value in losses.values()), accuracy]) * batch.weight
        parts = dict(zip((*losses, "accuracy"), add_up_gradients(self.trained, own).tolist(), strict=True))
        if not all(map(math.isfinite, parts.values())):
            raise self._broken("the loss is not a number in", epoch + 1)
        if self.config.clip_norm:
            clip_gradients(self.accelerator, self.optimizer, self.trained, self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        self.optimizer.step()
        return parts

    def _broken(self, what: str, epoch: int) -> InputError:
        remedy = "" if self.config.precision == "no" else " or use precision no"
        kept = f"; the state after epoch {epoch - 1} is kept in {self.checkpoint.path}" if epoch > 1 else ""
        return InputError(f"training: {what} epoch {epoch}; lower lr (now {self.config.lr:g}){remedy}{kept}")


def _below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `name` and a dot, without that."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
