"""A number for every vision head by its role, such as a share or a gate; also with roles shuffled or turned round."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.roles.role_map import RoleMap

ROLE, RANDOM, INVERTED = ROLE_VARIANTS = ("role", "random", "inverted")
"""Roles as they are; shuffled over all scored heads; Attribute and Generalization exchanged."""
_TURNED = {"attribute": "generalization", "generalization": "attribute"}


@typed
def number_heads(
    role_map: RoleMap, tower: Tower, numbers: Mapping[str, float], rest: float, variant: str = ROLE, seed: int = 0
) -> Float[Tensor, "layer head"]:
    """`numbers` by role; `rest` for heads of other roles, silent ones among them, and for those without a score.

    `variant`: one of ROLE_VARIANTS; `seed` shuffles the random one. Heads that pool (SigLIP) are left out.
    """
    if variant not in ROLE_VARIANTS:
        raise InputError(f"variant must be one of {', '.join(ROLE_VARIANTS)}, got {variant!r}")
    heads = [head for head in role_map if head.layer < tower.layers]
    roles = [head.role for head in heads]
    if variant == RANDOM:
        random.Random(seed).shuffle(roles)
    if variant == INVERTED:
        roles = [_TURNED.get(role, role) for role in roles]
    found = torch.full((tower.layers, tower.heads), float(rest))
    for head, role in zip(heads, roles, strict=True):
        found[head.layer, head.head] = numbers.get(role, rest)
    return found


def pick_heads(roles: Sequence[str], role_map: RoleMap | None, tower: Tower) -> list[tuple[int, int]]:
    """(layer, head) of the vision heads of some roles, in order; of all where none is named.

    InputError without a role map, or where no head has one of them.
    """
    if not roles:
        return [(layer, head) for layer in range(tower.layers) for head in range(tower.heads)]
    if role_map is None:
        raise InputError("roles: they are a role map's; give one as role map, or leave them out")
    found = sorted((h.layer, h.head) for h in role_map if h.role in roles and h.layer < tower.layers)
    if not found:
        raise InputError(f"roles: no head of the role map is {' or '.join(roles)}")
    return found


def spread_over_weights(model: HookedCLIP, numbers: Float[Tensor, "layer head"]) -> dict[str, Float[Tensor, "..."]]:
    """Every vision head's number over what is its own in the attention's weights, to be multiplied with them.

    By the CLIP's names of the weights: rows of W_Q, W_K and W_V and their biases, columns of W_O; its bias is no
    head's.
    """
    names = {id(weight): name for name, weight in model.clip.named_parameters()}
    own, spread = numbers.repeat_interleave(model.visual.head_width, 1).to(model.device), {}
    for layer, row in enumerate(own):
        modules = model.visual.projections(layer)
        spread[names[id(modules.pop("o").weight)]] = row[None]
        for module in modules.values():
            spread[names[id(module.weight)]] = row[:, None]
            spread |= {names[id(bias)]: row for bias in (module.bias,) if bias is not None}
    return spread
