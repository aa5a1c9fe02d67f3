"""merge_adapters(): one adapter of several."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.adapter.merging import MergedPart, Merging
from headroles.adapt.data.examples import Example
from headroles.adapt.data.task import Task
from headroles.adapt.merging.alike import check_alike
from headroles.adapt.merging.config import ARITHMETIC, RECALL, MergeConfig
from headroles.adapt.merging.hidden import read_hidden
from headroles.adapt.merging.recall import RecallWeights, pick_typical
from headroles.adapt.merging.samples import find_samples
from headroles.adapt.merging.tensors import add_tasks, weighted
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import METHODS
from headroles.checks import make_config, typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load


@typed
def merge_adapters(
    adapters: Sequence[str | os.PathLike[str] | Adapter],
    config: MergeConfig | None = None,
    *,
    task: str | Task | None = None,
    images: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    model: str | HookedCLIP | None = None,
    device: str = "auto",
    **settings: Any,
) -> Adapter:
    """One adapter of several, of one method with the same settings over one frozen CLIP; the last is the newest.

    `adapters`: folders, or what `load_adapter` gives. `settings` are fields of `MergeConfig`, in place of `config`.
    By recall it looks at the newest task: the images that the newest adapter was trained on, or those of `task`
    (`open_task` with `root`), or of the folder `images`. `model` and `device` as in `load_adapter`.

    The result is the newest's in all but its tensors: it has its classes and prompt, and tests the others' tasks as its
    retention. It says in `info.merged` what it was merged of. Raises InputError where something essential differs
    between the adapters, or where arithmetic has no start in common.
    """
    config = make_config(MergeConfig, config, settings)
    if config.by != RECALL and (task is not None or images is not None):
        raise InputError(f"{'task' if images is None else 'images'}: by {config.by} looks at no image; leave it out")
    opened, names = open_adapters(adapters, model, device)
    check_alike(opened, names)
    if config.weights and len(config.weights) != len(opened):
        raise InputError(f"weights: expected one for each of {len(opened)} adapters, got {len(config.weights)}")
    if config.by != RECALL:
        return merge_opened(opened, config)
    return merge_opened(opened, config, *find_samples(opened[-1].info, task, images, root))


def open_adapters(
    given: Sequence[str | os.PathLike[str] | Adapter], model: str | HookedCLIP | None, device: str
) -> tuple[list[Adapter], list[str]]:
    """The adapters, around one model where they are folders, and what to call them."""
    if isinstance(given, (str, os.PathLike)) or len(given) < 2:
        raise InputError("adapters: expected two or more to merge, got one; give a list of folders")
    names = [f"adapter {n}" if isinstance(each, Adapter) else str(each) for n, each in enumerate(given, 1)]
    infos = [each.info if isinstance(each, Adapter) else AdapterInfo.load(each) for each in given]
    for info, name in zip(infos, names, strict=True):
        if info.base_model_hash != infos[-1].base_model_hash:
            raise InputError(f"adapters: {name} and {names[-1]} are of different frozen CLIPs; merge those of one")
    clip = next((each.method.model for each in given if isinstance(each, Adapter)), None)
    if clip is None:
        clip = model if isinstance(model, HookedCLIP) else load(model or infos[-1].base_model_name_or_path, device)
    return [each if isinstance(each, Adapter) else load_adapter(Path(each), model=clip) for each in given], names


def merge_opened(
    adapters: Sequence[Adapter], config: MergeConfig, samples: Sequence[Example] = (), place: str | None = None
) -> Adapter:
    """`merge_adapters` of adapters that are alike; by recall with images of the newest task, which are from `place`."""
    if config.by == ARITHMETIC:
        tensors, weights = _by_arithmetic(adapters, config)
    else:
        tensors, weights = _by_recall(adapters, samples, config) if config.by == RECALL else _by_mean(adapters, config)
    merging = Merging(tuple(map(_describe, adapters)), config.to_dict(), weights, place, _warn_seeds(adapters))
    method = _build(adapters[-1])
    method.make_room(tensors)
    method.load_state_dict(tensors)
    return Adapter(method.eval(), describe_merged([each.info for each in adapters], merging))


Merged = tuple[dict[str, Tensor], dict[str, tuple[float, ...]]]
"""Tensors by name, and weights by place."""


def _by_mean(adapters: Sequence[Adapter], config: MergeConfig) -> Merged:
    shares = torch.tensor(config.weights or (1.0,) * len(adapters), dtype=torch.double)
    shares = shares / shares.sum()
    return _average(adapters, lambda name: shares), {"all": tuple(shares.tolist())}


def _by_recall(adapters: Sequence[Adapter], samples: Sequence[Example], config: MergeConfig) -> Merged:
    newest = adapters[-1]
    typical = pick_typical(newest.method, samples, config.clusters, config.seed)
    classes, template = newest.info.trained_classes, newest.info.template
    hidden = [read_hidden(adapter.method, typical, classes, template) for adapter in adapters]
    weights, acting = RecallWeights.of(hidden, newest.method.attributes, config), newest.method.acting()
    return _average(adapters, lambda name: weights.at(acting.get(name))), weights.places


def _by_arithmetic(adapters: Sequence[Adapter], config: MergeConfig) -> Merged:
    """Task arithmetic of what is trained; the rest, which data gave, is averaged."""
    starts = _starts(adapters)
    apart = _find_apart(starts)
    if apart:
        raise InputError(
            f"by: arithmetic needs adapters that began alike, and those of seeds {_say_seeds(adapters)} began with "
            f"other tensors ({apart}); merge adapters of one seed, or by mean"
        )
    strength = config.strength or 1 / len(adapters)
    tensors, _ = _by_mean(adapters, MergeConfig())
    for name, _ in adapters[-1].method.named_parameters():
        tensors[name] = add_tasks(
            starts[-1][name], [each.method.state_dict()[name] for each in adapters], strength, name
        )
    return tensors, {"all": (strength,) * len(adapters)}


def _average(adapters: Sequence[Adapter], weigh: Callable[[str], Tensor]) -> dict[str, Tensor]:
    """The weighted mean of every tensor, with weights by its name."""
    states = [adapter.method.state_dict() for adapter in adapters]
    return {name: weighted([each[name] for each in states], weigh(name), name) for name in states[-1]}


def describe_merged(infos: Sequence[AdapterInfo], merging: Merging) -> AdapterInfo:
    """What the merged adapter's file says: the newest's, with the others' tasks as its retention."""
    newest = infos[-1]
    others = dict.fromkeys(info.task for info in infos[:-1]) | dict.fromkeys(newest.retention)
    return dataclasses.replace(
        newest,
        retention=tuple(name for name in others if name != newest.task),
        trained_images=tuple(sorted({image for info in infos for image in info.trained_images})),
        epoch=None,
        validation=(),
        begun_with=None,
        merged=merging,
    )


def _describe(adapter: Adapter) -> MergedPart:
    info = adapter.info
    return MergedPart(info.task, info.trained_classes, info.shots, info.seed, adapter.weights_sha256)


def _build(adapter: Adapter) -> Method:
    """The adapter's method with the tensors that its training began with."""
    info = adapter.info
    return METHODS[info.method](adapter.method.model, adapter.role_map, info.settings, info.seed, info.trained_classes)


def _starts(adapters: Sequence[Adapter]) -> list[dict[str, Tensor]]:
    """What the adapters' trainings began with; once a seed."""
    by_seed = {adapter.info.seed: adapter for adapter in adapters}
    begun = {seed: _build(adapter).state_dict() for seed, adapter in by_seed.items()}
    return [begun[adapter.info.seed] for adapter in adapters]


def _find_apart(starts: Sequence[Mapping[str, Tensor]]) -> str:
    """The first tensor that the adapters did not begin with alike; "" where there is none."""
    last = starts[-1]
    return next((name for name in last if not all(torch.equal(each[name], last[name]) for each in starts)), "")


def _warn_seeds(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """What is odd where adapters began with other tensors."""
    apart = _find_apart(_starts(adapters)) if len({adapter.info.seed for adapter in adapters}) > 1 else ""
    if not apart:
        return ()
    return (
        f"the adapters are of seeds {_say_seeds(adapters)} and began with other tensors ({apart}), so what lies "
        "between them may serve no task; adapters of one seed merge better",
    )


def _say_seeds(adapters: Sequence[Adapter]) -> str:
    return ", ".join(str(adapter.info.seed) for adapter in adapters)
