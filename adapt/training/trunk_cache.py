"""Trunks: what of the training images no training changes. It can be shared by two branches and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from headroles.adapt.config import TrainConfig
from headroles.adapt.data.tasks import Task, TaskImages
from headroles.adapt.methods.features import Batch, ClassTrunk
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.shared_trunks import run_targets, run_trunk
from headroles.adapt.training.processes import share
from headroles.files.tensors import is_hashed, write_hashed
from headroles.images.images import read_ahead
from headroles.models.finite import check_rows

_CHUNK = 64
"""Images of one file."""


class Trunks:
    """Trunk outputs of a task's training images, epoch by epoch: computed as they are asked for, or kept on disk.

    With `cache_views` = V, epoch e sees the augmentation of epoch e mod V, whose trunk outputs are computed once and
    written below `folder`, in the type in which they were computed.
    """

    def __init__(
        self, method: Method, task: Task, config: TrainConfig, accelerator: Accelerator, folder: Path, workers: int
    ) -> None:
        self.method, self.task, self.config, self.accelerator = method, task, config, accelerator
        self.folder, self.workers = folder, workers
        self._whole: set[Path] = set()
        self.texts = self._class_trunk()
        self.labels = torch.tensor([example.label for example in task.train], device=method.device)
        self.domains = number_domains(task, method.device)

    def _class_trunk(self) -> ClassTrunk:
        return self.method.class_trunk(self.task.classes, self.task.template)

    def batches(self, epoch: int, rows: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """One batch for every list of image numbers."""
        if self.config.cache_views:
            parts = self._cached(epoch % self.config.cache_views, rows)
        else:
            parts = self._fresh(epoch, rows)
        for numbers, part in zip(rows, parts, strict=True):
            yield self._batch(numbers, part, self.texts if self.config.share_trunk else self._class_trunk())

    def look(self, epoch: int | None) -> Iterator[Batch]:
        """All images in order, as they are tested or as an epoch has them; `headroles.adapt.methods.method.Look`."""
        for numbers, part in zip(self._chunks, self._fresh(epoch, self._chunks), strict=True):
            yield self._batch(numbers, part, self.texts)

    def _batch(self, numbers: Sequence[int], part: Mapping[str, Tensor], texts: ClassTrunk) -> Batch:
        rows = list(numbers)
        domains = None if self.domains is None else self.domains[rows]
        labels, frozen = self.labels[rows], part.get("frozen")
        return Batch(part["trunk"], labels, texts, frozen, numbers=tuple(rows), domains=domains)

    @property
    def _chunks(self) -> list[range]:
        count = len(self.task.train)
        return [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]

    def _fresh(self, epoch: int | None, rows: Sequence[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        """Open, augment and run the images: "trunk", and "frozen" where the losses need it."""
        augment = self.task.augment and self.config.augment and epoch is not None
        images = TaskImages(self.task.train, self.method.preprocess, augment, self.config.seed, epoch or 0)
        shared = self.config.precision, epoch is not None
        loader = DataLoader(images, batch_sampler=[list(numbers) for numbers in rows], num_workers=self.workers)
        for numbers, pixels, _ in read_ahead(loader):
            keys = [images.key(number) for number in numbers.tolist()]
            with self.accelerator.autocast():
                part = {"trunk": run_trunk(self.method, keys, pixels, *shared)}
                if self.method.needs_frozen_images:
                    own = part["trunk"] if self.config.share_trunk else self.method.image_trunk(pixels)
                    part["frozen"] = run_targets(self.method, keys, own, *shared)
            for outputs in part.values():
                check_rows(outputs, lambda row: self.task.train[row].key, numbers.tolist(), self.config.precision)
            yield part

    def _cached(self, view: int, rows: Sequence[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        """Rows of the files of a view, which are written first where they lack."""
        files = self._open_view(view)
        for numbers in rows:
            found = [(files[number // _CHUNK], number % _CHUNK) for number in numbers]
            yield {
                name: torch.stack([file[name][row] for file, row in found]).to(self.method.device) for name in files[0]
            }

    def _holds(self, path: Path) -> bool:
        """Whether a file is there, as it was written; looked at once. A damaged one is written again."""
        if path not in self._whole and is_hashed(path):
            self._whole.add(path)
        return path in self._whole

    def _open_view(self, view: int) -> list[dict[str, Tensor]]:
        """The tensors of every chunk, mapped from disk."""
        chunks = self._chunks
        paths = [self.folder / f"{view}-{number}.safetensors" for number in range(len(chunks))]
        lacking = [item for item in share(list(zip(paths, chunks, strict=True))) if not self._holds(item[0])]
        for (path, _), part in zip(lacking, self._fresh(view, [chunk for _, chunk in lacking]), strict=True):
            write_hashed(path, part, {})
            self._whole.add(path)
        self.accelerator.wait_for_everyone()
        return [load_file(path) for path in paths]


def number_domains(task: Task, device: torch.device) -> Tensor | None:
    """The number of every training image's domain, by name; None where there are not two of them."""
    names = sorted({example.domain for example in task.train})
    if len(names) < 2:
        return None
    return torch.tensor([names.index(example.domain) for example in task.train], device=device)
