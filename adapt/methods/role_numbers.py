"""A number for every vision head by its role, such as a share, a gate, or whether it is free; also against roles."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.roles.role_map import RoleMap

ROLE, RANDOM, INVERTED = ROLE_VARIANTS = ("role", "random", "inverted")
"""Roles as they are; shuffled over all scored heads; Attribute and Generalization exchanged."""
ALL = "all"
HEADS = (ALL, "attribute", "generalization", RANDOM, INVERTED)
"""Which heads are free; see `free_heads`."""
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


def balance_shares(role_map: RoleMap, tower: Tower, mean: float, variant: str = ROLE) -> dict[str, float]:
    """Shares for Attribute and Generalization heads, as far apart as may be where their mean over both is `mean`.

    Attribute heads have the more; all others are meant to have `mean`, so that it is the mean over all heads. Variants
    as in `number_heads`, which is to be given the same one. At 0 and 1 all shares are alike. InputError where the role
    map lacks one of the two roles.
    """
    roles = [head.role for head in role_map if head.layer < tower.layers]
    more, less = (roles.count(role) for role in ("attribute", "generalization"))
    if not more or not less:
        lacking = "generalization" if more else "attribute"
        raise InputError(f"role map: it knows no {lacking} head of an encoder layer, so shares cannot go by role")
    if variant == INVERTED:
        more, less = less, more
    moved = min(more * (1 - mean), less * mean)
    return {"attribute": min(1.0, mean + moved / more), "generalization": max(0.0, mean - moved / less)}


def free_heads(
    role_map: RoleMap | None, tower: Tower, heads: str, seed: int, method: str
) -> Bool[Tensor, "layer head"]:
    """The vision heads that a method may change.

    `heads`: "all"; of a role map's encoder heads "attribute" or "generalization", "random", as many as are Attribute,
    drawn by `seed` from all that are scored, or "inverted", all that are scored and not Attribute. InputError, which
    names the method, where a role map is needed or names none.
    """
    if heads == ALL:
        return torch.ones(tower.layers, tower.heads, dtype=torch.bool)
    if role_map is None:
        raise InputError(
            f"role map: {method} with heads {heads} needs one; make it: headroles score, and give --role-map, or "
            "take heads all"
        )
    role = "generalization" if heads == "generalization" else "attribute"
    numbers = {role: 1.0}
    if heads == INVERTED:
        numbers = {head.role: float(head.role != role) for head in role_map}
    free = number_heads(role_map, tower, numbers, 0.0, RANDOM if heads == RANDOM else ROLE, seed) > 0
    if not free.any():
        kind = "head but Attribute ones" if heads == INVERTED else f"{role} head"
        raise InputError(f"heads: the role map knows no {kind} of an encoder layer; take heads all")
    return free


def note_unused(role_map: RoleMap | None, heads: str) -> tuple[str, ...]:
    """A line where a role map is given and all heads are free."""
    if role_map is None or heads != ALL:
        return ()
    return (f"role map: not used with heads all; set heads to {', '.join(HEADS[1:-1])} or {HEADS[-1]}",)


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
