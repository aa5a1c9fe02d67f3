"""From a role map to one additive attention mask a layer (DeAR, role-based attention mask).

A head's mask splits the tokens [CLS, patches, attribute tokens] into groups that do not see each other: an isolated
head parts attribute tokens from originals, a core head of concept a keeps token a with the originals and parts the
other attribute tokens, an open head has one group. A token always shares a group with itself, so no row is empty.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.config import ISOLATED, MASKS, OPEN
from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_heads import check_tower
from headroles.roles.role_map import HeadRole, RoleMap


def check_role_map(role_map: RoleMap, model: HookedCLIP) -> None:
    """Refuse a role map of another model: other layers, heads or weights (InputError)."""
    check_tower(role_map)
    scored, tower = role_map.model, model.visual
    if (scored.layers, scored.heads) != (tower.layers, tower.heads):
        raise InputError(
            f"role map: made for {scored.name} with {scored.layers} layers of {scored.heads} heads, but "
            f"{model.model_name} has {tower.layers} of {tower.heads}; score this model"
        )
    if scored.weights_hash != (own := model.weights_hash()):
        raise InputError(
            f"role map: made for {scored.name} with weights {scored.weights_hash[:12]}, but {model.model_name} has "
            f"weights {own[:12]}; score this model, loaded with the same dtype",
            page="other-weights",
        )


def head_kinds(role_map: RoleMap, layer: int, core: Sequence[str]) -> list[str]:
    """What each head of a layer is to the masks: a core concept's name, "isolated" or "open".

    Attribute heads of a core concept take its name, Mixed heads are open, Generalization heads, silent heads and
    Attribute heads of other concepts are isolated. InputError where the role map did not score the layer.
    """
    heads = sorted((head for head in role_map if head.layer == layer), key=lambda head: head.head)
    if [head.head for head in heads] != list(range(role_map.model.heads)):
        scored = ", ".join(map(str, role_map.layers))
        raise InputError(f"role map: layer {layer} was not scored (scored: {scored}); score it or enter at a later one")
    return [_kind(head, core) for head in heads]


def vary_kinds(kinds: Sequence[Sequence[str]], variant: str, seed: int) -> list[list[str]]:
    """The kinds of several layers' heads under a variant of the mask.

    role: as they are. open: all open. layer: a layer's heads all take its most frequent kind (the first of equally
    frequent ones). random: shuffled over all heads. inverted: isolated heads open, all others isolated.
    """
    if variant not in MASKS:
        raise InputError(f"mask must be one of {', '.join(MASKS)}, got {variant!r}")
    if variant == "open":
        return [[OPEN] * len(row) for row in kinds]
    if variant == "layer":
        return [[Counter(row).most_common(1)[0][0]] * len(row) for row in kinds]
    if variant == "inverted":
        return [[OPEN if kind == ISOLATED else ISOLATED for kind in row] for row in kinds]
    flat = [kind for row in kinds for kind in row]
    if variant == "random":
        random.Random(seed).shuffle(flat)
    shuffled = iter(flat)
    return [[next(shuffled) for _ in row] for row in kinds]


def masked_kinds(
    role_map: RoleMap, layers: Iterable[int], tokens: Sequence[str], variant: str, seed: int
) -> dict[int, list[str]]:
    """Layer -> what each of its heads is under a variant; "open" needs no scored layer."""
    layers = list(layers)
    if variant == "open":
        kinds = [[OPEN] * role_map.model.heads for _ in layers]
    else:
        kinds = [head_kinds(role_map, layer, tokens) for layer in layers]
    return dict(zip(layers, vary_kinds(kinds, variant, seed), strict=True))


@typed
def build_masks(
    role_map: RoleMap, layers: Iterable[int], tokens: Sequence[str], patches: int, kind: str, seed: int = 0
) -> dict[int, Float[Tensor, "head token token"]]:
    """Layer -> what is added to its attention scores: 0 within a group, -inf between groups; [query, key].

    `tokens`: names of the attribute tokens, core concepts, in order; rows are CLS, `patches` patches, then these.
    `kind`: one of MASKS. Layers whose heads are all open are left out: they need no mask.
    """
    tokens = list(tokens)
    return {
        layer: torch.stack([_mask(head, tokens, 1 + patches) for head in heads])
        for layer, heads in masked_kinds(role_map, layers, tokens, kind, seed).items()
        if set(heads) != {OPEN}
    }


def is_isolating(mask: Float[Tensor, "head token token"], originals: int) -> bool:
    """Whether all heads part the first `originals` tokens from the others, both ways."""
    return bool((mask[:, :originals, originals:] < 0).all() and (mask[:, originals:, :originals] < 0).all())


def _kind(head: HeadRole, core: Sequence[str]) -> str:
    if head.role == "mixed":
        return OPEN
    return head.concept if head.role == "attribute" and head.concept in core else ISOLATED


def _mask(kind: str, tokens: list[str], originals: int) -> Float[Tensor, "token token"]:
    group = torch.zeros(originals + len(tokens))
    if kind != OPEN:
        group[originals:] = 1
        if kind != ISOLATED:
            group[originals + tokens.index(kind)] = 0
    apart = group[:, None] != group[None, :]
    return torch.zeros(apart.shape).masked_fill(apart, -torch.inf)
