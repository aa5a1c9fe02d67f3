"""The trunk: what flows out of the layers below J. It holds nothing trained, so it can be shared and kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from headroles.adapt.config import TrainConfig
from headroles.adapt.data.tasks import Task, TaskImages
from headroles.adapt.methods.dear import Dear
from headroles.adapt.methods.features import TextTrunk
from headroles.adapt.training.processes import share
from headroles.files.tensors import is_hashed, write_hashed
from headroles.images.images import read_ahead
from headroles.models.finite import check_rows

_CHUNK = 64
"""Images of one file."""


@dataclass(frozen=True)
class TrunkBatch:
    """What one step needs of a batch of images."""

    trunk: Float[Tensor, "image token width"]
    """Residual stream before layer J."""
    frozen: Float[Tensor, "image embed"] | None
    """The frozen CLIP's unit embeddings, where the losses need them."""
    labels: Int[Tensor, "image"]
    """Class numbers."""
    texts: TextTrunk
    """The same of the classes' prompts."""
    weight: float = 1.0
    """Share of the whole batch that this process has."""


class Trunks:
    """Trunk outputs of a task's training images, epoch by epoch: computed as they are asked for, or kept on disk.

    With `cache_views` = V, epoch e sees the augmentation of epoch e mod V, whose trunk outputs are computed once and
    written below `folder`, in the type in which they were computed.
    """

    def __init__(
        self, dear: Dear, task: Task, config: TrainConfig, accelerator: Accelerator, folder: Path, workers: int
    ) -> None:
        self.dear, self.task, self.config, self.accelerator = dear, task, config, accelerator
        self.folder, self.workers = folder, workers
        self._whole: set[Path] = set()
        self.texts = dear.text_trunk(task.prompts)
        self.labels = torch.tensor([example.label for example in task.train], device=dear.device)

    def batches(self, epoch: int, rows: Sequence[Sequence[int]]) -> Iterator[TrunkBatch]:
        """One batch for every list of image numbers."""
        if self.config.cache_views:
            parts = self._cached(epoch % self.config.cache_views, rows)
        else:
            parts = self._fresh(epoch, rows)
        for numbers, part in zip(rows, parts, strict=True):
            texts = self.texts if self.config.share_trunk else self.dear.text_trunk(self.task.prompts)
            yield TrunkBatch(part["trunk"], part.get("frozen"), self.labels[list(numbers)], texts)

    def _fresh(self, epoch: int, rows: Sequence[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        """Open, augment and run the images: "trunk", and "frozen" where the losses need it."""
        images = TaskImages(self.task.train, self.dear.preprocess, self.task.augment, self.config.seed, epoch)
        loader = DataLoader(images, batch_sampler=[list(numbers) for numbers in rows], num_workers=self.workers)
        for numbers, pixels, _ in read_ahead(loader):
            with self.accelerator.autocast():
                part = {"trunk": self.dear.image_trunk(pixels)}
                if self.dear.needs_frozen_images:
                    own = part["trunk"] if self.config.share_trunk else self.dear.image_trunk(pixels)
                    part["frozen"] = self.dear.frozen_images(own)
            for outputs in part.values():
                check_rows(outputs, lambda row: self.task.train[row].key, numbers.tolist(), self.config.precision)
            yield part

    def _cached(self, view: int, rows: Sequence[Sequence[int]]) -> Iterator[dict[str, Tensor]]:
        """Rows of the files of a view, which are written first where they lack."""
        files = self._open_view(view)
        for numbers in rows:
            found = [(files[number // _CHUNK], number % _CHUNK) for number in numbers]
            yield {
                name: torch.stack([file[name][row] for file, row in found]).to(self.dear.device) for name in files[0]
            }

    def _holds(self, path: Path) -> bool:
        """Whether a file is there, as it was written; looked at once. A damaged one is written again."""
        if path not in self._whole and is_hashed(path):
            self._whole.add(path)
        return path in self._whole

    def _open_view(self, view: int) -> list[dict[str, Tensor]]:
        """The tensors of every chunk, mapped from disk."""
        count = len(self.task.train)
        chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
        paths = [self.folder / f"{view}-{number}.safetensors" for number in range(len(chunks))]
        lacking = [item for item in share(list(zip(paths, chunks, strict=True))) if not self._holds(item[0])]
        for (path, _), part in zip(lacking, self._fresh(view, [chunk for _, chunk in lacking]), strict=True):
            write_hashed(path, part, {})
            self._whole.add(path)
        self.accelerator.wait_for_everyone()
        return [load_file(path) for path in paths]
