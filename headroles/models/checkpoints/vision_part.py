"""The vision tower inside a larger model's folder: its tensors alone are read, of the language model no byte.

LLaVA, Gemma 3, Idefics and their like hold the vision tower of a CLIP or SigLIP, often without what makes an embedding
of its tokens, and a projector that takes them to the language model.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import CLIPVisionConfig, PretrainedConfig, PreTrainedModel

from headroles.errors import InputError, said
from headroles.models.checkpoints.config_check import check_config
from headroles.models.checkpoints.hub import CONFIG, WEIGHTS
from headroles.models.checkpoints.larger import LARGER, PartNames, read_weight_map
from headroles.models.checkpoints.transformers_folder import check_report, read_config, read_model
from headroles.models.families import find_family


@dataclass(frozen=True)
class VisionPart:
    """What was taken out of a larger model."""

    model: PreTrainedModel
    """The vision tower, as transformers builds it alone."""
    projector: Mapping[str, Tensor]
    """What takes its tokens to the language model, by names in the file."""
    stored: str
    """The config's type of numbers."""
    note: str
    """What was taken, and which layers the language model does not see."""


def load_part(folder: Path, name: str, dtype: torch.dtype) -> VisionPart:
    """The vision tower of the larger model in a folder; InputError as `load_folder`, and for a shard that it needs."""
    config = read_config(folder, name, larger=True)
    names = LARGER[config.model_type]
    vision = _vision_config(config)
    family = find_family(vision.model_type, f"the vision tower of {name}")
    check_config(vision, f"{folder / CONFIG}: vision_config")
    tensors = _read(folder, names, name)
    kept = {found[1]: tensors[key] for key in tensors if (found := names.tower.match(key))}
    if not kept:
        raise InputError(f"model: {name} has no tensors of the vision tower that its {CONFIG} promises; get all files")
    kind, options = family.loader(vision, name)
    model, report = read_model(None, name, kind, dtype, {**options, "config": vision, "state_dict": kept})
    check_report(report, ("missing_keys", "mismatched_keys"), name, f"vision tower of a {config.model_type}")
    rest = {key: tensor for key, tensor in tensors.items() if names.projector.match(key)}
    stored = str(config.dtype or torch.float32).removeprefix("torch.")
    return VisionPart(model, rest, stored, _describe(config, vision, family.title, rest))


def _vision_config(config: PretrainedConfig) -> PretrainedConfig:
    """Of the tower alone; Idefics' own is CLIP's under other names."""
    vision: Any = config.vision_config
    if vision.model_type == "idefics_vision":
        names = ("image_size", "patch_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        same = {name: getattr(vision, name) for name in (*names, "hidden_act", "layer_norm_eps", "num_channels")}
        vision = CLIPVisionConfig(hidden_size=vision.embed_dim, **same)
    if vision.model_type == "clip_vision_model":
        vision.architectures = ["CLIPVisionModel"]
    return vision


def _read(folder: Path, wanted: PartNames, name: str) -> dict[str, Tensor]:
    """The tensors whose names fit, from the files that hold them; others are not opened."""
    index = next(folder / each for each in WEIGHTS if (folder / each).is_file())
    if not index.name.endswith(".index.json"):
        return dict(_read_file(index, None, wanted))
    files: dict[str, list[str]] = {}
    for key, file in read_weight_map(index).items():
        if wanted.match(key):
            files.setdefault(file, []).append(key)
    found: dict[str, Tensor] = {}
    for file, keys in files.items():
        if not (folder / file).is_file():
            raise InputError(f"model: {name} lacks {file}, which {index.name} says holds {keys[0]}; download it")
        found |= _read_file(folder / file, keys, wanted)
    return found


def _read_file(path: Path, keys: Collection[str] | None, wanted: PartNames) -> Iterator[tuple[str, Tensor]]:
    """Some tensors of one file, all that fit where `keys` names none."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for key in filter(wanted.match, file.keys()) if keys is None else keys:
                    yield key, file.get_tensor(key)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            for key in filter(wanted.match, stored) if keys is None else keys:
                yield key, stored[key]
    # Whatever a damaged file does to who reads it.
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"model: {path} is damaged or lacks a tensor ({said(error, 150)}); copy or download it again"
        ) from error


def _describe(config: Any, vision: Any, title: str, projector: Mapping[str, Tensor]) -> str:
    """What was taken out; which of its layers the language model does not see."""
    numbers = sum(tensor.numel() for tensor in projector.values())
    beside = f"; its projector has {len(projector)} tensors, {numbers / 1e6:.1f} million" if projector else ""
    said = f"vision tower ({title}) of type {config.model_type}, alone{beside}"
    layers = getattr(config, "vision_feature_layer", None)
    if layers is None:
        return said
    depths = [layer if layer >= 0 else vision.num_hidden_layers + 1 + layer for layer in _listed(layers)]
    if (unseen := max(depths)) >= vision.num_hidden_layers:
        return said
    return f"{said}; its language model reads layer {unseen - 1} (0-based), so later heads do not reach it"


def _listed(layers: int | list[int]) -> list[int]:
    return [layers] if isinstance(layers, int) else list(layers)
