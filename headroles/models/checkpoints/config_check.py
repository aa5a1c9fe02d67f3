"""Settings of a transformers' config that transformers itself takes and fails on later, or reads as something else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from transformers import PretrainedConfig
from transformers.activations import ACT2FN

from headroles.errors import InputError

_LARGEST = {
    "num_hidden_layers": 1024, "num_attention_heads": 1024, "hidden_size": 65536, "intermediate_size": 2**20,
    "projection_dim": 65536, "patch_size": 1024, "image_size": 8192, "vocab_size": 2**24,
    "max_position_embeddings": 2**20,
}  # fmt: skip
"""Whole numbers from 1 on, and far beyond any model that there is."""
_SQUARE = ("clip", "siglip", "metaclip", "idefics", "smolvlm")
"""Beginnings of the types whose sides are one number."""
_PAIRS = ("image_size", "patch_size")
"""Of ViT and DINOv2 also a height and a width."""


def check_settings(settings: Mapping[str, Any], source: str) -> None:
    """The sizes that a config.json states, before transformers computes with them; InputError as in `check_config`."""
    for place in ("", "vision_config", "text_config"):
        tower = settings.get(place) if place else settings
        for name, largest in _LARGEST.items():
            if isinstance(tower, Mapping) and tower.get(name) is not None:
                _check_size(tower[name], name in _PAIRS, largest, f"{source}: {place}.{name}".replace(": .", ": "))


def check_config(config: PretrainedConfig, source: str) -> None:
    """InputError that names the setting, what was expected and what is there."""
    towers = [name for name in ("vision_config", "text_config") if hasattr(config, name)]
    for tower in towers:
        _check_tower(getattr(config, tower), f"{source}: {tower}.")
    if not towers:
        _check_tower(config, f"{source}: ")


def _check_tower(config: Any, place: str) -> None:
    for name, largest in _LARGEST.items():
        if hasattr(config, name):
            pair = name in _PAIRS and not config.model_type.startswith(_SQUARE)
            _check_size(getattr(config, name), pair, largest, f"{place}{name}")
    width, heads = config.hidden_size, config.num_attention_heads
    if width % heads:
        _refuse(f"{place}hidden_size", f"a multiple of num_attention_heads, {heads}", width)
    if config.hidden_act not in ACT2FN:
        _refuse(f"{place}hidden_act", "an activation of transformers, such as quick_gelu or gelu", config.hidden_act)
    eps = config.layer_norm_eps
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not (math.isfinite(eps) and 0 < eps < 1):
        _refuse(f"{place}layer_norm_eps", "a small positive number", eps)
    if getattr(config, "num_channels", 3) != 3:
        _refuse(f"{place}num_channels", "3, since images are read in colours", config.num_channels)
    if config.model_type in ("clip_text_model", "metaclip_2_text_model") and not _is_token(config.eos_token_id):
        _refuse(f"{place}eos_token_id", "a token's number", config.eos_token_id)
    if hasattr(config, "patch_size") and hasattr(config, "image_size"):
        _check_patches(config, place)


def _is_token(value: Any) -> bool:
    """A number that a token can have; whether the tokenizer ends with it is looked at with the tokenizer."""
    return type(value) is int and 0 <= value < 2**31


def _check_size(value: Any, pair: bool, largest: int, place: str) -> None:
    values = list(value) if pair and isinstance(value, list | tuple) and len(value) == 2 else [value]
    if not all(type(each) is int and 1 <= each <= largest for each in values):
        _refuse(place, f"a whole number, 1 to {largest}{', or two of them' if pair else ''}", value)


def _check_patches(config: Any, place: str) -> None:
    (height, width), (down, across) = (_two(config.image_size), _two(config.patch_size))
    if down > height or across > width:
        _refuse(f"{place}patch_size", f"no more than image_size, {config.image_size}", config.patch_size)


def _two(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _refuse(name: str, expected: str, found: Any) -> None:
    raise InputError(f"model: {name} is {found!r}, expected {expected}; get the model's own config.json")
