"""Where DeAR's tokens enter a CLIP, and which: what settings, model and role map leave to be decided."""

from __future__ import annotations

from collections.abc import Sequence

from headroles.adapt.config import DearConfig
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.layers import first_deep_layer
from headroles.roles.role_map import RoleMap


def check_adaptable(model: HookedCLIP) -> Tower:
    """The model's text tower; InputError where DeAR cannot act on it: it classifies CLIP's CLS token by texts."""
    if model.text is None:
        raise InputError(
            f"model: {model.model_name} is a {model.family.title} without a text tower; adapters classify images by "
            "their classes' texts, so take a CLIP"
        )
    if not model.visual.at_row:
        raise InputError(
            f"model: {model.model_name} is a {model.family.title}, which has no CLS token: it pools its "
            "patches, and role masks shield a CLS token; take a CLIP"
        )
    return model.text


def first_layers(model: HookedCLIP, config: DearConfig) -> tuple[int, int]:
    """The first layer with learned tokens of the vision and of the text tower; InputError where there is none."""
    layers, texts = model.visual.layers, check_adaptable(model).layers
    entry = first_deep_layer(layers) if config.layer is None else config.layer
    if entry + config.enter_after >= layers:
        raise InputError(f"layer: tokens cannot enter at layer {entry + config.enter_after}; the last is {layers - 1}")
    return entry + config.enter_after, min(entry * texts // layers + config.enter_after, texts - 1)


def core_notes(role_map: RoleMap, config: DearConfig, first: int) -> tuple[str, ...]:
    """`note_core` of DeAR's settings; nothing without vision tokens."""
    return note_core(role_map, config.core, first) if config.vision_tokens else ()


def note_core(role_map: RoleMap, core: Sequence[str], first: int) -> tuple[str, ...]:
    """Which core concepts get no token, as the bank does not know them, and which no head from layer `first` on."""
    unknown = [concept for concept in core if concept not in role_map.concepts]
    with_heads = {head.concept for head in role_map.heads(role="attribute") if head.layer >= first}
    idle = [concept for concept in known_core(role_map, core) if concept not in with_heads]
    notes = []
    if unknown:
        known = ", ".join(role_map.concepts)
        notes.append(f"core: no token for {', '.join(unknown)}: bank {role_map.bank.name} knows {known}")
    if idle:
        notes.append(f"core: no Attribute head from layer {first} on is of {', '.join(idle)}")
    return tuple(notes)


def attribute_names(role_map: RoleMap, config: DearConfig) -> tuple[str, ...]:
    """`known_core` of DeAR's settings; none without vision tokens."""
    return known_core(role_map, config.core) if config.vision_tokens else ()


def known_core(role_map: RoleMap, core: Sequence[str]) -> tuple[str, ...]:
    """The core concepts that the role map's bank knows, a token each.

    DeAR's own core concepts may lack in a bank; other names that it does not know are refused as mistakes of typing.
    """
    unknown = [concept for concept in core if concept not in (*role_map.concepts, *DearConfig().core)]
    if unknown and len(unknown) < len(core):  # Of none at all the message below speaks.
        raise InputError(
            f"core: the role map's bank {role_map.bank.name} does not know {', '.join(unknown)}; its concepts: "
            f"{', '.join(role_map.concepts)}"
        )
    known = tuple(concept for concept in core if concept in role_map.concepts)
    if not known:
        raise InputError(
            f"core: the role map's bank {role_map.bank.name} knows none of {', '.join(core)}; its concepts: "
            f"{', '.join(role_map.concepts)}"
        )
    return known
