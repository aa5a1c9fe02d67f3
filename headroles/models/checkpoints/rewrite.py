"""A copy of a checkpoint in its own layout, with some linear modules changed and every other stored number as it was.

What lies beside the weights and is read with them (config, tokenizer, preprocessing) is copied byte by byte. Weights
become safetensors: tensors in a pickle or an archive are the same numbers there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PretrainedConfig

from headroles.errors import InputError
from headroles.files.json_files import dump_json, read_object
from headroles.files.tensors import write_tensors
from headroles.models.checkpoints.architecture import EPS
from headroles.models.checkpoints.checkpoint import OPEN_CLIP, OPENAI, TRANSFORMERS, Checkpoint
from headroles.models.checkpoints.convert import name_as_openai
from headroles.models.checkpoints.hub import CONFIG, TOKENIZERS, WEIGHTS
from headroles.models.checkpoints.image_processor import FILES
from headroles.models.checkpoints.open_clip import CONFIG as OPEN_CLIP_CONFIG
from headroles.models.checkpoints.open_clip import WEIGHTS as OPEN_CLIP_WEIGHTS
from headroles.models.checkpoints.tokenizer import MERGES
from headroles.models.checkpoints.weights_file import read_weights

_BESIDE = (
    *{name for names in TOKENIZERS for name in names}, *FILES, *MERGES, "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE",
)  # fmt: skip
"""Files that are read with the weights, or go with them."""
_CONFIGS = {TRANSFORMERS: CONFIG, OPEN_CLIP: OPEN_CLIP_CONFIG, OPENAI: OPEN_CLIP_CONFIG}
"""Of the copy; what OpenAI's layout does not say gets a config of OpenCLIP's, which has the same tensors."""

Pair: TypeAlias = "tuple[Tensor, Tensor | None]"
"""Weight (out, in) and bias (out) of a linear module."""


@dataclass(frozen=True)
class Change:
    """What becomes of one linear module."""

    name: str
    """What the loaded model calls it."""
    module: nn.Linear
    """The module, as it was loaded."""
    apply: Callable[[Pair], Pair]
    """Weight and bias in float64 -> those to write."""


def check_own(checkpoint: Checkpoint) -> None:
    """InputError for an adapter over another checkpoint, which has no weights of its own to copy."""
    if checkpoint.adapter:
        raise InputError(
            f"model: {checkpoint.adapter} is a PEFT adapter, which has no heads of its own; merge it with peft's "
            "merge_and_unload() and save_pretrained, and give that folder"
        )


def copy_changed(checkpoint: Checkpoint, config: PretrainedConfig, changes: Sequence[Change], folder: Path) -> None:
    """Write the checkpoint, one with weights of its own (`check_own`), into `folder`, which is there and empty.

    `config`: the loaded model's. Raises InputError where a changed module cannot be told among the stored tensors.
    """
    home = checkpoint.folder
    index = [WEIGHTS[1]] if checkpoint.layout == TRANSFORMERS and not (home / WEIGHTS[0]).is_file() else []
    for name in (_CONFIGS[checkpoint.layout], *index, *_BESIDE):
        if (home / name).is_file():
            shutil.copyfile(home / name, folder / name)
    if checkpoint.layout == OPENAI:
        text = dump_json({"model_cfg": _describe(config)}, indent=2)
        (folder / OPEN_CLIP_CONFIG).write_text(text + "\n", encoding="utf-8")
    files = list(_weights(checkpoint))
    tensors = {name: tensor for _, own, _ in files for name, tensor in own.items()}  # A bias may lie in another file.
    for change in changes:
        tensors |= _apply(change, tensors, str(checkpoint.weights or home))
    for name, own, metadata in files:
        write_tensors(folder / name, {key: tensors[key] for key in own}, metadata)


def _weights(checkpoint: Checkpoint) -> Iterator[tuple[str, Mapping[str, Tensor], Mapping[str, str]]]:
    """Name, tensors and metadata of each weights file of the copy."""
    if checkpoint.layout != TRANSFORMERS:
        tensors = read_weights(cast(Path, checkpoint.weights)).tensors
        if checkpoint.layout == OPENAI:
            tensors = name_as_openai(tensors)
        yield OPEN_CLIP_WEIGHTS[0], _own(tensors), {"format": "pt"}
        return
    home = checkpoint.folder
    first = next(name for name in WEIGHTS if (home / name).is_file())
    files = sorted(set(read_object(home / first, "model")["weight_map"].values())) if "index" in first else [first]
    if not first.startswith(WEIGHTS[0].partition(".")[0]):  # Pickles, in one or several files: one file of tensors.
        parts = [read_weights(home / name).tensors for name in files]
        yield WEIGHTS[0], _own({name: tensor for part in parts for name, tensor in part.items()}), {"format": "pt"}
        return
    for name in files:
        with safe_open(home / name, "pt") as file:
            yield name, {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each with memory of its own: a safetensors file holds no shared one."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _apply(change: Change, tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The stored tensors of a module, changed."""
    name = _find(tensors, change)
    if name is None:
        raise InputError(
            f"model: {source} stores the weight of {change.name} under no name that tells it from others; save the "
            "model anew with save_pretrained, and give that folder"
        )
    weight, at = tensors[name], name.removesuffix("weight") + "bias"
    new_weight, new_bias = change.apply((weight.double(), tensors[at].double() if at in tensors else None))
    found = {name: new_weight.to(weight.dtype)}
    return found if new_bias is None else {**found, at: new_bias.to(tensors[at].dtype)}


def _find(tensors: Mapping[str, Tensor], change: Change) -> str | None:
    """The stored tensor that is the module's weight: the one of its values, and of those the one whose name is nearest.

    Every layout, and every version of transformers, has names of its own; the numbers are the same.
    """
    loaded, own = change.module.weight.detach().float().cpu(), set(f"{change.name}.weight".split("."))
    same = [
        name
        for name, tensor in tensors.items()
        if name.endswith("weight") and tensor.shape == loaded.shape and torch.equal(tensor.float(), loaded)
    ]
    near = {name: len(own & set(name.split("."))) for name in same}
    best = [name for name in same if near[name] == max(near.values())]
    return best[0] if len(best) == 1 else None


def _describe(config: Any) -> dict[str, Any]:
    """model_cfg of OpenCLIP's config of a CLIP (transformers' CLIPConfig)."""
    vision, text = config.vision_config, config.text_config

    def tower(part: Any) -> dict[str, Any]:
        eps = {} if part.layer_norm_eps == EPS else {"norm_kwargs": {"eps": part.layer_norm_eps}}
        sizes = {"layers": part.num_hidden_layers, "width": part.hidden_size}
        return {**sizes, "mlp_ratio": part.intermediate_size / part.hidden_size, **eps}

    sides = {"image_size": vision.image_size, "patch_size": vision.patch_size}
    words = {"context_length": text.max_position_embeddings, "vocab_size": text.vocab_size}
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": vision.hidden_act == "quick_gelu",
        "vision_cfg": {**tower(vision), **sides, "head_width": vision.hidden_size // vision.num_attention_heads},
        "text_cfg": {**tower(text), **words, "heads": text.num_attention_heads},
    }
