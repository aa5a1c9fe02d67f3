"""Which epoch of a training is taken: the last, or the one that names most validation images rightly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader

from headroles.adapt.config import LAST, TrainConfig
from headroles.adapt.data.tasks import Task, TaskImages
from headroles.adapt.methods.method import Method
from headroles.adapt.training.processes import add_up, share
from headroles.adapt.training.records import EpochRecord
from headroles.errors import InputError
from headroles.images.images import read_ahead

_BATCH = 64


def check_validation(task: Task, config: TrainConfig) -> None:
    """InputError where the epoch is to be chosen by validation images and a class has none."""
    if config.select_epoch == LAST:
        return
    lacking = set(range(len(task.classes))) - {example.label for example in task.val}
    if lacking:
        raise InputError(
            f"select_epoch: class {task.classes[min(lacking)]!r} of {task.name} has no validation image to choose the "
            f"epoch by; set some apart, --val-share 0.2, or take select_epoch {LAST}"
        )


@torch.no_grad()
def validation_accuracy(method: Method, task: Task, workers: int = 0) -> float:
    """Share of the validation images whose class is the likeliest, in [0, 1]; over all processes."""
    images = TaskImages(share(task.val), method.preprocess)
    texts = method.encode_texts(method.class_trunk(task.classes, task.template))
    right = torch.zeros(1, dtype=torch.long, device=method.device)
    for _, pixels, labels in read_ahead(DataLoader(images, batch_size=_BATCH, num_workers=workers)):
        right += (method.predict(pixels, texts).argmax(-1) == labels.to(method.device)).sum()
    return int(add_up(right)) / len(task.val)


def choose_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Number, from 1, of the epoch whose tensors are taken: the best on validation images, of equals the first.

    The last where nothing was validated; None of no history.
    """
    if not history:
        return None
    if history[-1].validation is None:
        return history[-1].epoch
    return max(history, key=lambda record: (record.validation or 0.0, -record.epoch)).epoch
