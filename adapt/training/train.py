"""fit(): train DeAR's tensors on a task. It stops, resumes and repeats exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from headroles.adapt.config import LAST, TrainConfig
from headroles.adapt.data.tasks import Task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.training.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from headroles.adapt.training.fingerprint import fingerprint
from headroles.adapt.training.processes import add_up_gradients, is_main, on_main, open_accelerator, share
from headroles.adapt.training.records import EpochRecord, Step
from headroles.adapt.training.trunk_cache import TrunkBatch, Trunks
from headroles.adapt.training.validation import check_validation, choose_epoch, validation_accuracy
from headroles.checks import typed
from headroles.errors import InputError

Progress = Callable[[Step], None]


@typed
def fit(
    dear: Dear,
    task: Task,
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    workers: int = 0,
    views: Path | None = None,
    progress: Progress | None = None,
) -> tuple[EpochRecord, ...]:
    """Train `dear` on the task's training images and return one record an epoch.

    After every epoch the state is written below `output`/unfinished, where it stays until the adapter is saved.
    `resume` goes on from there, to the bit-identical result: order and augmentation depend on the seed, the epoch and
    the image's number alone. Under several processes a batch is shared out, and the gradient is that of the whole.
    `workers` processes decode images. `views`: where `cache_views` keeps its files, to be shared by trainings on the
    same images with the same model, layer and seed; by default they go with the unfinished state. Raises InputError
    where the loss stops being a number, where `resume` finds a training with other settings, or where `select_epoch`
    is validation and a class has no validation image. In the end `dear` has the tensors of the epoch that is taken.
    """
    if not task.train:
        raise InputError(f"task: {task.name} has no training images; expected at least one a class")
    check_validation(task, config)
    training = _Training(dear, task, config, output, workers, views)
    settings = fingerprint(dear.role_map, task, dear.config, config)
    on_main(lambda: training.checkpoint.begin(settings, dear.role_map, resume))
    history = training.restore() if resume else []
    with torch.random.fork_rng(devices=[dear.device] if dear.device.type == "cuda" else []):
        for epoch in range(len(history), config.epochs):
            torch.manual_seed(int(np.random.default_rng([config.seed, epoch, 1]).integers(2**62)))
            history.append(training.run_epoch(epoch, progress))
            training.keep_best(history)
            training.save(history)
    training.take_best()
    return tuple(history)


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits the images."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Rate of step `step`, from 0: `warmup_lr` for the warm-up epochs, then half a cosine from `lr` down to 0."""
    warm = config.warmup_epochs * steps_per_epoch
    if step < warm:
        return config.warmup_lr
    done = (step - warm) / max(1, config.epochs * steps_per_epoch - warm)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


class _Training:
    """Everything that lives as long as one training."""

    def __init__(
        self, dear: Dear, task: Task, config: TrainConfig, output: Path, workers: int, views: Path | None
    ) -> None:
        self.dear, self.task, self.config = dear, task, config
        self.accelerator: Accelerator = open_accelerator(dear.device, config.precision)
        self.trained = [parameter for parameter in dear.parameters() if parameter.requires_grad]
        adam = torch.optim.AdamW(self.trained, lr=config.lr, weight_decay=config.weight_decay)
        self.optimizer = self.accelerator.prepare(adam)
        self.checkpoint = Checkpoint(output)
        self.trunks = Trunks(dear, task, config, self.accelerator, views or self.checkpoint.folder / "views", workers)
        self.steps = math.ceil(len(task.train) / config.batch)
        self.best: dict[str, Tensor] = {}
        """The tensors of the best epoch so far; none where the last is taken."""
        self.workers = workers

    def restore(self) -> list[EpochRecord]:
        """Take up the checkpoint, if there is one yet."""
        loaded = self.checkpoint.load()
        if loaded is None:
            return []
        tensors, state = loaded
        self.dear.load_state_dict({key[5:]: value for key, value in tensors.items() if key.startswith("dear.")})
        self.best = {key[5:]: value for key, value in tensors.items() if key.startswith("best.")}
        restore_optimizer(self.optimizer, tensors)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return [EpochRecord(**record) for record in state["history"]]

    def save(self, history: list[EpochRecord]) -> None:
        """Write the checkpoint, unless the weights went bad in the epoch's last step."""
        for name, parameter in self.dear.named_parameters():
            if not parameter.isfinite().all():
                raise self._broken(f"{name} is not finite after", len(history))
        if is_main():
            scaler = self.accelerator.scaler
            tensors = {f"dear.{name}": value for name, value in self.dear.state_dict().items()}
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
            state = {
                "history": [dataclasses.asdict(record) for record in history],
                "scaler": None if scaler is None else scaler.state_dict(),
            }
            self.checkpoint.save(tensors | optimizer_tensors(self.optimizer), state)

    def keep_best(self, history: list[EpochRecord]) -> None:
        """Note what the latest epoch gives on validation images, if that counts, and keep its tensors if it is best."""
        if self.config.select_epoch == LAST:
            return
        found = validation_accuracy(self.dear, self.task, self.workers)
        history[-1] = dataclasses.replace(history[-1], validation=found)
        if choose_epoch(history) == history[-1].epoch:
            self.best = {name: value.clone() for name, value in self.dear.state_dict().items()}

    def take_best(self) -> None:
        """Go back to the best epoch, where there is one."""
        if self.best:
            self.dear.load_state_dict(self.best)

    def run_epoch(self, epoch: int, progress: Progress | None) -> EpochRecord:
        """One pass over the training images."""
        totals: dict[str, float] = {}
        seen, record = 0, None
        for row, (size, batch) in enumerate(self._batches(epoch)):
            step = epoch * self.steps + row
            parts = self._step(batch, learning_rate(self.config, step, self.steps), epoch)
            seen += size
            totals = {name: totals.get(name, 0.0) + value * size for name, value in parts.items()}
            means = {name: value / seen for name, value in totals.items()}
            accuracy = means.pop("accuracy")
            record = self._record(epoch, means, accuracy, step) if row + 1 == self.steps else None
            if progress:
                loss = sum(means.values())
                progress(Step(step + 1, self.steps * self.config.epochs, epoch + 1, loss, accuracy, record))
        assert record is not None  # `fit` refuses a task without training images.
        return record

    def _record(self, epoch: int, losses: dict[str, float], accuracy: float, step: int) -> EpochRecord:
        alpha = dict(zip(("cls", *self.dear.attributes), self.dear.alpha.tolist(), strict=True))
        rate = learning_rate(self.config, step, self.steps)
        return EpochRecord(epoch + 1, sum(losses.values()), losses, accuracy, rate, alpha)

    def _batches(self, epoch: int) -> Iterator[tuple[int, TrunkBatch]]:
        """The size of every batch and this process's share of it."""
        order = epoch_order(len(self.task.train), self.config.seed, epoch).tolist()
        whole = [order[start : start + self.config.batch] for start in range(0, len(order), self.config.batch)]
        # A process without a share computes an image all the same, with weight 0: all add up the same gradients.
        shares = [share(batch) or batch[:1] for batch in whole]
        weights = [len(share(batch)) / len(batch) for batch in whole]
        for batch, weight, part in zip(whole, weights, self.trunks.batches(epoch, shares), strict=True):
            yield len(batch), dataclasses.replace(part, weight=weight)

    def _step(self, batch: TrunkBatch, rate: float, epoch: int) -> dict[str, float]:
        """One step of the optimizer; the batch's mean losses, and its accuracy as "accuracy"."""
        with self.accelerator.autocast():
            logits, losses = self.dear(batch.trunk, batch.labels, batch.texts, batch.frozen)
        self.optimizer.zero_grad()
        self.accelerator.backward(sum(losses.values()) * batch.weight)
        accuracy = (logits.argmax(-1) == batch.labels).float().mean()
        own = torch.stack([*(value.detach().float() for value in losses.values()), accuracy]) * batch.weight
        parts = dict(zip((*losses, "accuracy"), add_up_gradients(self.trained, own).tolist(), strict=True))
        if not all(map(math.isfinite, parts.values())):
            raise self._broken("the loss is not a number in", epoch + 1)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return parts

    def _broken(self, what: str, epoch: int) -> InputError:
        remedy = "" if self.config.precision == "no" else " or use precision no"
        kept = f"; the state after epoch {epoch - 1} is kept in {self.checkpoint.path}" if epoch > 1 else ""
        return InputError(f"training: {what} epoch {epoch}; lower lr (now {self.config.lr:g}){remedy}{kept}")
