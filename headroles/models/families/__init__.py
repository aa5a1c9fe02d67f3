"""Families of models: the only files that know transformers' modules, one file a family behind one interface."""

from __future__ import annotations

from headroles.errors import InputError
from headroles.models.families.clip import Clip
from headroles.models.families.family import Family
from headroles.models.families.pooled_tower import PooledTower
from headroles.models.families.siglip import Siglip
from headroles.models.families.tower import Tower
from headroles.models.families.vit import Dinov2, Vit

__all__ = ["FAMILIES", "Family", "PooledTower", "Tower", "find_family"]

FAMILIES: dict[str, type[Family]] = {
    "clip": Clip,
    "clip_vision_model": Clip,
    "siglip": Siglip,
    "siglip_vision_model": Siglip,
    "vit": Vit,
    "dinov2": Dinov2,
    "dinov2_with_registers": Dinov2,
}
"""model_type of a config -> family."""

_NAFLEX = "NaFlex models pad images of any shape, so patches have no fixed place; take a fixed-resolution SigLIP 2"
_TEXT = "it has a text tower alone; take the model with both towers"
_REFUSED = {
    "siglip2": _NAFLEX,
    "siglip2_vision_model": _NAFLEX,
    "clip_text_model": _TEXT,
    "siglip_text_model": _TEXT,
    "siglip2_text_model": _TEXT,
}
"""model_type -> why not."""


def find_family(model_type: str, name: str) -> type[Family]:
    """The family of a model_type; InputError, which names the model `name`, where there is none."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    reason = _REFUSED.get(model_type, f"expected one of {', '.join(FAMILIES)}")
    raise InputError(f"model: {name} is of type {model_type!r}: {reason}")
