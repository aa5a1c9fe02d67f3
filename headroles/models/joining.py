"""A vision tower without texts is given those of a CLIP: the one that it comes from, or any by a learned map."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.errors import InputError
from headroles.models.families import PooledTower
from headroles.models.families.joined import Joined, JoinedModel, without_vision
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.words import Words, join_names

_ALIGN = "learn a map to a CLIP instead: headroles score --align-to"


def take_words(vision: HookedCLIP, clip: HookedCLIP) -> HookedCLIP:
    """The vision tower, read in the embedding of the CLIP that it comes from, with that CLIP's texts.

    What it lacks of an embedding, a projection or a pooling head, is that CLIP's. Raises InputError where it has texts
    of its own, where the two do not fit, and where its weights are further from that CLIP's than no weights at all.
    """
    check_parts(vision, clip)
    readout = _lacking(vision, clip)
    difference = _compare(vision, clip)
    words = Words(clip.model_name, clip.weights_hash(), difference)
    return join(vision, clip, readout, words, join_names(vision.model_name, clip.model_name))


def join(vision: HookedCLIP, clip: HookedCLIP, readout: nn.Module | None, words: Words, name: str) -> HookedCLIP:
    """Both in one; `readout`: what takes the final LayerNorm's output to the embedding, None where it has its own."""
    eyes = vision.family if readout is None else type(vision.family)(vision.clip, readout)
    if eyes.visual.embed != clip.visual.embed:
        raise InputError(
            f"texts-from: {vision.model_name} has embeddings of {eyes.visual.embed} numbers, {clip.model_name} of "
            f"{clip.visual.embed}; give the CLIP that it comes from, or {_ALIGN}"
        )
    told = without_vision(clip.family)
    model: Any = JoinedModel(vision.clip, told.model, readout)
    joined = HookedCLIP(model, name, clip.tokenizer, vision.processor, Joined(model, eyes, told))
    joined.words, joined.projector = words, vision.projector
    return joined


def check_parts(vision: HookedCLIP, clip: HookedCLIP, argument: str = "texts-from") -> None:
    """InputError, about `argument`, where the first has texts already, or the second has none."""
    if vision.text is not None:
        raise InputError(f"{argument}: {vision.model_name} has texts of its own; leave it out")
    if clip.text is None or clip.words is not None:
        raise InputError(f"{argument}: {clip.model_name} is no CLIP with a text tower of its own; give one")
    if clip.tokenizer is None:
        raise InputError(f"{argument}: {clip.model_name} has no tokenizer; put tokenizer.json beside its weights")


def _lacking(vision: HookedCLIP, clip: HookedCLIP) -> nn.Module | None:
    """What the CLIP has between its final LayerNorm and the embedding, and the vision tower has not."""
    tower, own = vision.visual, clip.visual
    if tower.pooling or tower._projection is not None:
        return None
    pools = isinstance(own, PooledTower)
    if tower.at_row == pools:
        raise InputError(
            f"texts-from: {vision.model_name} ({vision.family.title}) does not come from {clip.model_name} "
            f"({clip.family.title}); {_ALIGN}"
        )
    if tower.width != own.width:
        raise InputError(
            f"texts-from: {vision.model_name} is {tower.width} wide, {clip.model_name} {own.width}; give the CLIP that "
            f"it comes from, or {_ALIGN}"
        )
    return own._head if isinstance(own, PooledTower) else own._projection


@torch.no_grad()
def _compare(vision: HookedCLIP, clip: HookedCLIP) -> float:
    """Relative difference of the weights that both have at the same place; InputError where it is no less than 1."""
    own, theirs = vision.family.vision.state_dict(), clip.family.vision.state_dict()
    shared = [name for name, tensor in own.items() if name in theirs and theirs[name].shape == tensor.shape]
    distance = _length(own[name].double() - theirs[name].to(own[name].device).double() for name in shared)
    length = _length(theirs[name].double() for name in shared)
    difference = float(distance / length) if shared and length else float("inf")
    if not shared:
        raise InputError(
            f"texts-from: {vision.model_name} ({vision.family.title}) has no weights at the places of "
            f"{clip.model_name}'s ({clip.family.title}), so it does not come from it; {_ALIGN}"
        )
    if not difference < 1:
        raise InputError(
            f"texts-from: the weights of {vision.model_name} are further from those of {clip.model_name} than no "
            f"weights at all (relative difference {difference:.2f}); give the CLIP that it comes from, or {_ALIGN}"
        )
    return difference


def _length(tensors: Any) -> Float[Tensor, ""]:
    return torch.stack([tensor.square().sum().cpu() for tensor in tensors] or [torch.zeros(())]).sum().sqrt()
