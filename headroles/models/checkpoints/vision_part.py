"""The vision tower inside a larger model's folder: its tensors alone are read, of the language model no byte.

LLaVA, Gemma 3, Idefics and their like hold the vision tower of a CLIP or SigLIP, often without what makes an embedding
of its tokens, and a projector that takes them to the language model.
"""

from __future__ import annotations

import re
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
from headroles.models.checkpoints.settings import read_settings
from headroles.models.checkpoints.transformers_folder import check_report, read_config, read_model
from headroles.models.families import find_family

_LLAVA, _IDEFICS = ("vision_tower", "multi_modal_projector"), ("vision_model", "connector")
_PARTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("llava", "llava_next", "llava_next_video", "llava_onevision", "vipllava"), _LLAVA),
    **dict.fromkeys(("gemma3", "paligemma", "aya_vision", "mistral3"), _LLAVA),
    **dict.fromkeys(("idefics2", "idefics3", "smolvlm"), _IDEFICS),
    "idefics": ("vision_model", "perceiver_resampler"),
}
"""model_type of a config -> what tensors of the vision tower, and of its projector, are called there."""


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


def is_larger(folder: Path) -> bool:
    """Whether config.json is of a model that holds a vision tower among others."""
    return read_settings(folder / CONFIG).get("model_type") in _PARTS


def load_part(folder: Path, name: str, dtype: torch.dtype) -> VisionPart:
    """The vision tower of the larger model in a folder; InputError as `load_folder`, and for a shard that it needs."""
    config = read_config(folder, name, larger=True)
    tower, projector = _PARTS[config.model_type]
    vision = _vision_config(config)
    family = find_family(vision.model_type, f"the vision tower of {name}")
    check_config(vision, f"{folder / CONFIG}: vision_config")
    own = re.compile(rf"^(?:model\.)?{tower}\.(?:vision_model\.)?(.+)$")
    beside = re.compile(rf"^(?:model\.)?{projector}\.(.+)$")
    tensors = _read(folder, [own, beside], name)
    kept = {found[1]: tensors[key] for key in tensors if (found := own.match(key))}
    if not kept:
        raise InputError(f"model: {name} has no tensors {tower}.*; expected the vision tower of a {config.model_type}")
    kind, options = family.loader(vision, name)
    model, report = read_model(None, name, kind, dtype, {**options, "config": vision, "state_dict": kept})
    check_report(report, ("missing_keys", "mismatched_keys"), name, f"vision tower of a {config.model_type}")
    rest = {key: tensors[key] for key in tensors if beside.match(key)}
    stored = str(config.dtype or torch.float32).removeprefix("torch.")
    return VisionPart(model, rest, stored, _describe(config, vision, family.title, rest))


def needed_shards(folder: Path) -> set[str] | None:
    """The weights files that hold the vision tower and its projector; None where no index tells, or all are needed."""
    index = next((folder / name for name in WEIGHTS if name.endswith(".index.json") and (folder / name).is_file()), None)
    if index is None or not is_larger(folder):
        return None
    names = "|".join(_PARTS[read_settings(folder / CONFIG)["model_type"]])
    wanted = re.compile(rf"^(?:model\.)?(?:{names})\.")
    return {file for key, file in _weight_map(index).items() if wanted.match(key)}


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


def _read(folder: Path, wanted: Collection[re.Pattern], name: str) -> dict[str, Tensor]:
    """The tensors whose names fit, from the files that hold them; others are not opened."""
    index = next((folder / each for each in WEIGHTS if (folder / each).is_file()))
    if not index.name.endswith(".index.json"):
        return dict(_read_file(index, None, wanted))
    files: dict[str, list[str]] = {}
    for key, file in _weight_map(index).items():
        if any(each.match(key) for each in wanted):
            files.setdefault(file, []).append(key)
    found: dict[str, Tensor] = {}
    for file, keys in files.items():
        if not (folder / file).is_file():
            raise InputError(f"model: {name} lacks {file}, which {index.name} says holds {keys[0]}; download it")
        found |= _read_file(folder / file, keys, wanted)
    return found


def _weight_map(index: Path) -> dict[str, str]:
    files = read_settings(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) and "/" not in file for file in files.values()):
        raise InputError(f"model: {index} has no weight_map from tensors to files; copy or download it again")
    return files


def _read_file(
    path: Path, keys: Collection[str] | None, wanted: Collection[re.Pattern]
) -> Iterator[tuple[str, Tensor]]:
    """Some tensors of one file, all that fit where `keys` names none."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for key in _fitting(file.keys(), wanted) if keys is None else keys:
                    yield key, file.get_tensor(key)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            for key in _fitting(stored, wanted) if keys is None else keys:
                yield key, stored[key]
    # Whatever a damaged file does to who reads it.
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"model: {path} is damaged or lacks a tensor ({said(error, 150)}); copy or download it again"
        ) from error


def _fitting(keys: Collection[str], wanted: Collection[re.Pattern]) -> list[str]:
    return [key for key in keys if any(each.match(key) for each in wanted)]


def _describe(config: Any, vision: Any, title: str, projector: Mapping[str, Tensor]) -> str:
    """What was taken out; which of its layers the language model does not see."""
    numbers = sum(tensor.numel() for tensor in projector.values())
    beside = f"; its projector has {len(projector)} tensors, {numbers / 1e6:.1f} million" if projector else ""
    said = f"vision tower of a {config.model_type} ({title}), alone{beside}"
    layers = getattr(config, "vision_feature_layer", None)
    if layers is None:
        return said
    depths = [layer if layer >= 0 else vision.num_hidden_layers + 1 + layer for layer in _listed(layers)]
    if (unseen := max(depths)) >= vision.num_hidden_layers:
        return said
    return f"{said}; its language model reads layer {unseen - 1} (0-based), so later heads do not reach it"


def _listed(layers: int | list[int]) -> list[int]:
    return [layers] if isinstance(layers, int) else list(layers)
