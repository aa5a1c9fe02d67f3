"""From a role map to one additive attention mask a layer (DeAR, role-based attention mask).

A head lets each attribute token through to the originals, CLS and patches, with a weight in [0, 1]: the probability
that the token is in the originals' group, and not apart from them. To the scores is added the logarithm of how probable
it is that two tokens are in one group, each token's place drawn by itself: log w between token a and an original, and
log(w_a w_b + (1 - w_a)(1 - w_b)) between tokens a and b. Weights of 0 and 1 make DeAR's masks of 0 and -inf: an
isolated head (all 0) parts attribute tokens from originals, a core head of concept a (1 for a alone) keeps token a with
the originals and parts the other attribute tokens, an open head (all 1) has one group. A token is always with itself,
so no row is empty.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.config import HARD_MASKS, ISOLATED, MASKS, OPEN
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
    return [_kind(head, core) for head in _scored_heads(role_map, layer)]


def _scored_heads(role_map: RoleMap, layer: int) -> list[HeadRole]:
    heads = sorted((head for head in role_map if head.layer == layer), key=lambda head: head.head)
    if [head.head for head in heads] != list(range(role_map.model.heads)):
        scored = ", ".join(map(str, role_map.layers))
        raise InputError(f"role map: layer {layer} was not scored (scored: {scored}); score it or enter at a later one")
    return heads


def vary_kinds(kinds: Sequence[Sequence[str]], variant: str, seed: int) -> list[list[str]]:
    """The kinds of several layers' heads under a variant of the mask.

    role, soft, learned: as they are. open: all open. layer: a layer's heads all take its most frequent kind (the first
    of equally frequent ones). random: shuffled over all heads. inverted: isolated heads open, all others isolated.
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


def role_weights(
    role_map: RoleMap, layers: Iterable[int], tokens: Sequence[str], variant: str, seed: int = 0, floor: float = 0.0
) -> dict[int, Float[Tensor, "head attribute"]]:
    """Layer -> with which weight each of its heads lets each attribute token through, in [0, 1].

    soft, and learned at its start: the role map's share P(a | head) of the token's concept, taken off a floor,
    max(0, (P - floor) / (1 - floor)); a silent head has no shares. All others: 0 or 1, by `masked_kinds`.
    """
    layers = list(layers)
    if variant in HARD_MASKS:
        kinds = masked_kinds(role_map, layers, tokens, variant, seed)
        return {layer: torch.tensor([_let_through(kind, tokens) for kind in row]) for layer, row in kinds.items()}
    rows = {layer: [_shares(head, tokens) for head in _scored_heads(role_map, layer)] for layer in layers}
    return {layer: (torch.tensor(row) - floor).clamp(min=0) / (1 - floor) for layer, row in rows.items()}


@typed
def build_masks(
    role_map: RoleMap,
    layers: Iterable[int],
    tokens: Sequence[str],
    patches: int,
    kind: str,
    seed: int = 0,
    floor: float = 0.0,
) -> dict[int, Float[Tensor, "head token token"]]:
    """Layer -> what is added to its attention scores, [query, key]: 0 or -inf, of a soft mask what lies between.

    `tokens`: names of the attribute tokens, core concepts, in order; rows are CLS, `patches` patches, then these.
    `kind`: one of MASKS, of which learned is as it begins, like soft. `seed` is of random, `floor` of soft
    (`role_weights`). Layers whose heads are all open are left out: they need no mask.
    """
    if kind not in MASKS:
        raise InputError(f"mask must be one of {', '.join(MASKS)}, got {kind!r}")
    weights = role_weights(role_map, layers, list(tokens), kind, seed, floor)
    return {
        layer: join_groups(each.log(), (-each).log1p(), 1 + patches)
        for layer, each in weights.items()
        if (each < 1).any()
    }


def join_groups(
    inside: Float[Tensor, "head attribute"], outside: Float[Tensor, "head attribute"], originals: int
) -> Float[Tensor, "head token token"]:
    """The mask of a layer: log-probabilities that two tokens are in one group.

    `inside`, `outside`: log-probabilities that an attribute token is in the group of the originals, and that it is not.
    """
    heads, count = inside.shape
    within = torch.logaddexp(*(each[:, :, None] + each[:, None] for each in (inside, outside)))
    within = within.masked_fill(torch.eye(count, dtype=torch.bool, device=within.device), 0)
    above = torch.cat([inside.new_zeros(heads, originals, originals), inside[:, None].expand(-1, originals, -1)], 2)
    return torch.cat([above, torch.cat([inside[:, :, None].expand(-1, -1, originals), within], 2)], 1)


def is_isolating(mask: Float[Tensor, "head token token"], originals: int) -> bool:
    """Whether all heads part the first `originals` tokens from the others, both ways."""
    between = (mask[:, :originals, originals:], mask[:, originals:, :originals])
    return all(bool((each == -torch.inf).all()) for each in between)


def _kind(head: HeadRole, core: Sequence[str]) -> str:
    if head.role == "mixed":
        return OPEN
    return head.concept if head.role == "attribute" and head.concept in core else ISOLATED


def _let_through(kind: str, tokens: Sequence[str]) -> list[float]:
    return [float(kind in (OPEN, token)) for token in tokens]


def _shares(head: HeadRole, tokens: Sequence[str]) -> list[float]:
    return [head.distribution[token] for token in tokens]
