"""Whether a model is the one that the published figures are of: OpenAI's ViT-B/16."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headroles.adapt.reproduction.published import find_published
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import find_known

HUB_ID = "openai/clip-vit-base-patch16"
"""Where the model is on the Hugging Face hub."""
WITHIN = 1.0
"""Points of accuracy that a model of this shape may be off, data set by data set, to be taken for it; ours."""
_SHAPE = (12, 12, 768, 512, (14, 14))
"""Layers, heads and width of the vision tower, the embedding's width, and the grid of patches."""


def why_other(clip: HookedCLIP, zero_shot: Mapping[tuple[str, str], float]) -> tuple[bool, str]:
    """Whether published figures may not stand beside this model's, and a line that says why, or why they may.

    A name says which model it is. A folder or file does not: its shape has to be the model's, and its `zero_shot`
    accuracies, in percent by data set and part (base, novel), the published ones.
    """
    name = clip.model_name
    if is_named(name):
        return False, ""
    if _shape(clip) != _SHAPE:
        return True, f"no published figures beside these: they are of OpenAI's ViT-B/16, and {name} has another shape"
    if not Path(name.removesuffix(":quick_gelu")).exists():
        return True, f"no published figures beside these: they are of OpenAI's ViT-B/16, and {name} is another model"
    return _compare(name, zero_shot)


def is_named(name: str) -> bool:
    """Whether a model's name is one of OpenAI's ViT-B/16."""
    if name == HUB_ID:
        return True
    known = None if Path(name).exists() else find_known(name)
    return known is not None and known.hub_id == HUB_ID


def _compare(name: str, zero_shot: Mapping[tuple[str, str], float]) -> tuple[bool, str]:
    off = {
        place: abs(percent - published[0].percent)
        for place, percent in zero_shot.items()
        if (published := find_published("zero-shot", "zero-shot", *place, 16))
    }
    if not off:
        return True, (
            f"no published figures beside these: whether {name} is OpenAI's ViT-B/16, its zero-shot accuracies would "
            "say; add the table zero-shot"
        )
    (data_set, part), most = max(off.items(), key=lambda item: item[1])
    if most > WITHIN:
        return True, (
            f"no published figures beside these: zero-shot on {data_set}, {part}, {name} is {most:.1f} points off "
            "OpenAI's ViT-B/16; the weights or the data are others"
        )
    return False, f"{name} is taken for OpenAI's ViT-B/16: its zero-shot accuracies are at most {most:.1f} points off"


def _shape(clip: HookedCLIP) -> tuple[object, ...]:
    tower = clip.visual
    return tower.layers, tower.heads, tower.width, tower.embed, clip.grid
