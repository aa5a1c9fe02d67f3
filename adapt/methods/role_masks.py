"""RoleMasks: a tower's masks, as a role map has them or learned near it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from headroles.adapt.config import LEARNED, SOFT, MaskConfig
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.methods.masks import build_masks, is_isolating, join_groups, role_weights
from headroles.adapt.methods.rank_correlation import RankCorrelation, correlate_ranks
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.roles.role_map import RoleMap
from headroles.shown import show_p

_EDGE = 0.01
"""Learned weights begin at least so far from 0 and 1, where nothing could move them."""


class RoleMasks(nn.Module):
    """What is added to the attention scores of `layers`, where attribute tokens run beside an image's own.

    Learned weights are sigmoids of trained logits, a number for every layer, head and attribute token.
    """

    layers: tuple[int, ...]
    """The layers with a mask; the others are open."""
    apart: frozenset[int]
    """Those that part all attribute tokens from all originals, for good."""
    logits: nn.Parameter | None
    """Of the learned weights (layer, head, attribute); None of masks that are not trained."""
    given: Float[Tensor, "layer head attribute"]
    """The role map's weights, which learned ones are held near."""

    def __init__(
        self, role_map: RoleMap, layers: Iterable[int], tokens: Sequence[str], patches: int, config: MaskConfig
    ) -> None:
        super().__init__()
        self.config, self.originals, self.tokens = config, 1 + patches, tuple(tokens)
        layers = tuple(layers)
        settings = (config.mask, config.mask_seed, config.mask_floor)
        self.logits, self.layers, self.apart = None, layers, frozenset()
        if config.mask == LEARNED:
            weights = role_weights(role_map, layers, tokens, *settings)
            self.register_buffer("given", torch.stack([weights[layer] for layer in layers]), persistent=False)
            self.logits = nn.Parameter(self._begin())
            return
        masks = build_masks(role_map, layers, tokens, patches, *settings)
        for layer, mask in masks.items():
            self.register_buffer(f"layer_{layer}", mask, persistent=False)
        self.layers = tuple(masks)
        self.apart = frozenset(layer for layer, mask in masks.items() if is_isolating(mask, self.originals))

    def _begin(self) -> Float[Tensor, "layer head attribute"]:
        begun = self.given if self.config.mask_start == SOFT else self.given.mean().expand_as(self.given)
        return begun.clamp(_EDGE, 1 - _EDGE).logit()

    def forward(self) -> dict[int, Float[Tensor, "head token token"]]:
        """Layer -> mask; of learned ones with gradients."""
        if self.logits is None:
            return {layer: self.get_buffer(f"layer_{layer}") for layer in self.layers}
        rows = zip(self.layers, logsigmoid(self.logits), logsigmoid(-self.logits), strict=True)
        return {layer: join_groups(inside, outside, self.originals) for layer, inside, outside in rows}

    def losses(self) -> dict[str, Float[Tensor, ""]]:
        """ "mask": the weighted distance of learned weights from the role map's; none where nothing is held."""
        if self.logits is None or not self.config.lambda_mask:
            return {}
        return {"mask": self.config.lambda_mask * (self.logits.sigmoid() - self.given).square().mean()}

    def served_tensors(self) -> dict[str, Tensor]:
        """The masks, by the names that an export gives them."""
        return {f"adapter.mask_{layer}": mask for layer, mask in self().items()}

    def correlate(self) -> RankCorrelation | None:
        """Learned weights with the role map's; None where nothing is learned. Heads are permuted."""
        if self.logits is None:
            return None
        one, other = (each.detach().flatten(0, 1).double().cpu().numpy() for each in (self.logits, self.given))
        return correlate_ranks(one, other)

    def findings(self, method: str) -> Findings | None:
        """Where learned weights ended, a part a head and a number a token; None where nothing is learned."""
        found = self.correlate()
        if self.logits is None or found is None:
            return None
        weights = self.logits.detach().sigmoid().flatten(0, 1).tolist()
        places = [(layer, head) for layer in self.layers for head in range(self.logits.shape[1])]
        parts = (
            Found(layer, f"H{head}", head, dict(zip(self.tokens, row, strict=True)))
            for (layer, head), row in zip(places, weights, strict=True)
        )
        return Findings(method, (self._tell(found),), tuple(parts))

    def _tell(self, found: RankCorrelation) -> str:
        held, begun = self.config.lambda_mask, "as the role map's" if self.config.mask_start == SOFT else "all alike"
        how = f"they began {begun} and were {f'held near the role map by {held:g}' if held else 'held by nothing'}"
        if math.isnan(found.rho):
            return f"learned masks: all weights are alike, so they have no order; {how}"
        return (
            f"learned masks: rank correlation of their weights with the role map's {found.rho:+.2f}, "
            f"p {show_p(found.p_value)} by permuting {found.heads} heads; {how}"
        )


def split_groups(groups: Iterable[TrainedGroup], masks: RoleMasks | None) -> tuple[TrainedGroup, ...]:
    """The groups, in which the logits of learned masks are trained at their own rate."""
    if masks is None or masks.logits is None:
        return tuple(groups)
    others = [(tuple(each for each in group.tensors if each is not masks.logits), group.rate) for group in groups]
    return (*(TrainedGroup(*each) for each in others), TrainedGroup((masks.logits,), masks.config.mask_rate))
