"""average_curve(): what every average of tuned and frozen weights is worth, from one training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from headroles.adapt.adapter.adapter import Adapter
from headroles.adapt.data.tasks import Task, TaskImages
from headroles.adapt.methods.clip_cite import AVERAGES, UNIFORM, ClipCite, ClipCiteConfig
from headroles.adapt.methods.role_numbers import RANDOM, balance_shares
from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.latex import Tabled
from headroles.files.ranges import Share
from headroles.images.counting import counted
from headroles.images.images import read_ahead
from headroles.shown import Shown

if TYPE_CHECKING:
    import pandas as pd

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Mean shares of the tuned weights."""


@dataclass(frozen=True)
class AveragePoint:
    """One average of the weights."""

    average: str
    """One of `headroles.adapt.methods.clip_cite.AVERAGES`."""
    alpha: Share
    """Mean share of the tuned weights over all heads, and the share in all that roles do not decide."""
    attribute: Share
    """Share in Attribute heads; under "random" and "inverted", in those that stand in their place."""
    generalization: Share
    """The same of Generalization heads."""
    roles_seed: int
    """Which shuffle, of "random"."""
    base: Share
    """Accuracy on the base classes."""
    novel: Share
    """Accuracy on the novel classes."""
    kept: Share | None
    """Mean accuracy on the tasks that were not trained; None without."""


@dataclass(frozen=True)
class AverageCurve(Shown, Tabled):
    """Averages of one training's tuned and the frozen weights, by how heads' shares are given out and by their mean."""

    figures: ClassVar[dict[str, str]] = {"curve": "headroles.adapt.results.average_plot:average_figure"}

    task: str
    """The task that was trained and tested."""
    points: tuple[AveragePoint, ...]
    """Average after average, by rising alpha. At alpha 0 and 1 all averages are one model, and are there for each."""

    def to_frame(self) -> pd.DataFrame:
        """One row a point; accuracies in [0, 1]."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(point) for point in self.points])


@typed
def average_curve(
    adapter: Adapter | ClipCite,
    task: Task,
    kept: Iterable[Task] = (),
    *,
    alphas: Sequence[float] = ALPHAS,
    averages: Sequence[str] = AVERAGES,
    roles_seeds: Sequence[int] = (0, 1, 2),
    batch: int = 64,
) -> AverageCurve:
    """Accuracy of every average of an adapter's tuned weights (CLIP-CITE) with the frozen ones; nothing is trained.

    `averages`: "uniform", every weight has the share alpha; "role", Attribute heads have more and Generalization heads
    less, as far as their mean stays alpha; "random", the same with roles shuffled, once a seed; "inverted", the
    other way round. Tested are the base and the novel half of `task` and all classes of the tasks `kept`. Every image
    is opened once. Raises InputError where the adapter is another method's or lacks the role map that averages need.
    """
    method = _take_method(adapter, averages).eval()
    before = method.config
    try:
        return _draw_curve(method, task, kept, list(_configs(method, alphas, averages, roles_seeds)), batch)
    finally:
        method.config = before


def _draw_curve(
    method: ClipCite, task: Task, kept: Iterable[Task], configs: Sequence[ClipCiteConfig], batch: int
) -> AverageCurve:
    # All averages of share 0, and of share 1, are one model.
    asked = list(dict.fromkeys(map(_plainest, configs)))
    tasks = (*task.halves(), *kept)
    base, novel, *rest = (dict(zip(asked, _ask(method, asked, each, batch), strict=True)) for each in tasks)
    found = []
    for config in configs:
        one = _plainest(config)
        mean = float(np.mean([each[one] for each in rest])) if rest else None
        shares = (config.average, config.alpha, config.attribute, config.generalization, config.roles_seed)
        found.append(AveragePoint(*shares, base[one], novel[one], mean))
    return AverageCurve(task.name, tuple(found))


def _take_method(adapter: Adapter | ClipCite, averages: Sequence[str]) -> ClipCite:
    method = adapter.method if isinstance(adapter, Adapter) else adapter
    if not isinstance(method, ClipCite):
        raise InputError(f"adapter: expected one of clip-cite, whose weights can be averaged, got one of {method.name}")
    unknown = [average for average in averages if average not in AVERAGES]
    if unknown or not averages:
        raise InputError(f"averages must be some of {', '.join(AVERAGES)}, got {', '.join(unknown) or 'none'}")
    if method.role_map is None and set(averages) != {UNIFORM}:
        raise InputError("role map: the adapter has none; adapt with --role-map, or take averages uniform alone")
    return method


def _configs(
    method: ClipCite, alphas: Sequence[float], averages: Sequence[str], roles_seeds: Sequence[int]
) -> Iterator[ClipCiteConfig]:
    """The settings of every point."""
    for average in averages:
        for seed in roles_seeds if average == RANDOM else (0,):
            for alpha in sorted(alphas):
                numbers = {"attribute": alpha, "generalization": alpha}
                if average != UNIFORM and method.role_map is not None:
                    numbers = balance_shares(method.role_map, method.model.visual, alpha, average)
                plain: dict[str, Any] = {"average": average, "alpha": float(alpha), "roles_seed": seed}
                yield dataclasses.replace(method.config, **(plain | numbers))


def _plainest(config: ClipCiteConfig) -> ClipCiteConfig:
    """The same model's simplest settings."""
    if config.attribute != config.generalization:
        return config
    return dataclasses.replace(config, average=UNIFORM, roles_seed=0)


@torch.inference_mode()
def _ask(method: ClipCite, configs: Sequence[ClipCiteConfig], task: Task, batch: int) -> list[float]:
    """Accuracy under each of the settings on the task's test images."""
    trunk, right = method.class_trunk(task.classes, task.template), torch.zeros(len(configs), dtype=torch.float64)
    texts = [_with(method, config).encode_texts(trunk) for config in configs]
    images = TaskImages(task.test, method.preprocess, False, 0, 0)
    loader = read_ahead(DataLoader(images, batch_size=batch))
    for _, pixels, labels in counted(loader, f"testing {task.name}", len(task.test), size=lambda each: len(each[0])):
        seen = method.image_trunk(pixels)
        for row, config in enumerate(configs):
            logits = method.logits(_with(method, config).encode_images(seen), texts[row])
            right[row] += int((logits.argmax(-1).cpu() == labels).sum())
    return (right / len(task.test)).tolist()


def _with(method: ClipCite, config: ClipCiteConfig) -> ClipCite:
    """The method, which answers as these settings say from here on."""
    method.config = config
    return method
