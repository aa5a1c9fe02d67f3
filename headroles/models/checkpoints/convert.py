"""OpenAI's and OpenCLIP's tensors under transformers' names: the same numbers, so the same CLIPModel.

Like `hooked_clip`, this file knows the modules of transformers' CLIP, by name only.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from transformers import CLIPConfig

from headroles.errors import InputError
from headroles.models.checkpoints.architecture import Architecture, TowerShape, check_naming

_PLAIN = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
}
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
"""Stored as (width, embed), multiplied from the right; transformers' Linear keeps (embed, width)."""
_NORMS = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
_BLOCKS = {
    "transformer.resblocks": "text_model.encoder.layers",
    "visual.transformer.resblocks": "vision_model.encoder.layers",
}
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask")
"""Buffers that repeat sizes or the causal mask."""
_LARGEST_ID = 2
"""transformers' CLIP reads a text at its largest token id, as OpenAI's and OpenCLIP's do, where EOS is said to be 2."""


def name_as_openai(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights alone, under OpenAI's names: OpenCLIP's separate text towers put `text.` before theirs."""
    weights = {name: tensor for name, tensor in tensors.items() if name not in _NOT_WEIGHTS}
    if "text.token_embedding.weight" in weights:
        weights = {name.removeprefix("text."): tensor for name, tensor in weights.items()}
    if "logit_scale" in weights and weights["logit_scale"].shape == (1,):
        weights["logit_scale"] = weights["logit_scale"].reshape(())
    return weights


def check_tensors(tensors: Mapping[str, Tensor], architecture: Architecture, source: str) -> None:
    """InputError that names the first tensor that is missing, of another shape or not part of the layout."""
    expected = architecture.shapes
    for name, shape in expected.items():
        if name not in tensors:
            check_naming(tensors, source)
            raise InputError(f"model: {source} has no tensor {name}; expected all tensors of both towers of a CLIP")
        if (found := tuple(tensors[name].shape)) != shape:
            raise InputError(f"model: {source}: tensor {name} has shape {found}, expected {shape}")
        if not tensors[name].is_floating_point():
            raise InputError(f"model: {source}: tensor {name} holds {tensors[name].dtype}, expected floating point")
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        raise InputError(
            f"model: {source} has the tensor {unknown[0]}, which a CLIP of OpenAI's layout does not have; what it does "
            "would be lost"
        )


def convert_tensors(tensors: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """transformers' state dict of tensors that passed `check_tensors`."""
    found = {new: tensors[old] for old, new in _PLAIN.items()}
    found |= {new: tensors[old].T.contiguous() for old, new in _TRANSPOSED.items()}
    for old, new in _NORMS.items():
        found |= {f"{new}.{part}": tensors[f"{old}.{part}"] for part in ("weight", "bias")}
    for (old, new), tower in zip(_BLOCKS.items(), (architecture.text, architecture.vision), strict=True):
        for layer in range(tower.layers):
            found |= _convert_block(tensors, f"{old}.{layer}", f"{new}.{layer}")
    return found


def _convert_block(tensors: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """in_proj holds the queries', keys' and values' matrices one below the other; a head's rows stay where they are."""
    found = {}
    for part in ("weight", "bias"):
        for name, piece in zip("qkv", tensors[f"{old}.attn.in_proj_{part}"].chunk(3), strict=True):
            found[f"{new}.self_attn.{name}_proj.{part}"] = piece.clone()
        found |= {f"{new}.{to}.{part}": tensors[f"{old}.{at}.{part}"] for at, to in _IN_BLOCK.items()}
    return found


def build_config(architecture: Architecture) -> CLIPConfig:
    """transformers' config of the same model."""
    vision = {"image_size": architecture.image, "patch_size": architecture.patch}
    text = {
        "vocab_size": architecture.vocabulary,
        "max_position_embeddings": architecture.context,
        "bos_token_id": None,
        "pad_token_id": None,
        "eos_token_id": _LARGEST_ID,
    }
    embed = {"projection_dim": architecture.embed}
    return CLIPConfig(
        projection_dim=architecture.embed,
        vision_config={**_tower_config(architecture.vision), **vision, **embed},
        text_config={**_tower_config(architecture.text), **text, **embed},
    )


def _tower_config(tower: TowerShape) -> dict[str, object]:
    return {
        "hidden_size": tower.width,
        "intermediate_size": tower.mlp,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "hidden_act": tower.activation,
        "layer_norm_eps": tower.eps,
    }
