"""Families of models: the only files that know transformers' modules, one file a family behind one interface."""

from __future__ import annotations

from headroles.errors import InputError
from headroles.models.families.clip import Clip
from headroles.models.families.family import Family
from headroles.models.families.mean_tower import MeanTower
from headroles.models.families.metaclip2 import MetaClip2
from headroles.models.families.pooled_tower import PooledTower
from headroles.models.families.siglip import Naflex, Siglip
from headroles.models.families.tokens import Tokens
from headroles.models.families.tower import Tower
from headroles.models.families.vit import Dinov2, Dinov3, Vit

__all__ = ["FAMILIES", "Family", "MeanTower", "PooledTower", "Tower", "find_family"]

FAMILIES: dict[str, type[Family]] = {
    "clip": Clip,
    "clip_vision_model": Clip,
    "metaclip_2": MetaClip2,
    "metaclip_2_vision_model": MetaClip2,
    "siglip": Siglip,
    "siglip_vision_model": Siglip,
    "siglip2": Naflex,
    "siglip2_vision_model": Naflex,
    "vit": Vit,
    "dinov2": Dinov2,
    "dinov2_with_registers": Dinov2,
    "dinov3_vit": Dinov3,
    "idefics2_vision": Tokens,
    "idefics3_vision": Tokens,
    "smolvlm_vision": Tokens,
}
"""model_type of a config -> family."""

_TEXT = "it has a text tower alone; take the model with both towers"
_QWEN = (
    "its vision tower keeps queries, keys and values in one matrix and hands on groups of four tokens through an MLP "
    "(later ones also divide by RMSNorm, within windows); it has no CLS and no CLIP that it came from"
)
_PIXTRAL = "its vision tower divides by RMSNorm, and its pictures have any shape"
_TIMM = "its tower is timm's Perception Encoder, which transformers wraps and does not hold"
_REFUSED = {
    **dict.fromkeys(("clip_text_model", "metaclip_2_text_model", "siglip_text_model", "siglip2_text_model"), _TEXT),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"), _QWEN),
    "pixtral": _PIXTRAL,
    "mllama_vision_model": "its vision tower hands on several layers side by side, gated, so no one embedding is read",
    "dinov3_convnext": "it is a convolutional network, without attention heads",
    **dict.fromkeys(("perception_lm", "timm_wrapper"), _TIMM),
}
"""model_type -> why not."""


def find_family(model_type: str, name: str) -> type[Family]:
    """The family of a model_type; InputError, which names the model `name`, where there is none."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    reason = _REFUSED.get(model_type, f"expected one of {', '.join(FAMILIES)}")
    raise InputError(f"model: {name} is of type {model_type!r}: {reason}")
