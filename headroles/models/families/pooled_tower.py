"""PooledTower: a tower whose embedding an attention pools over all tokens (SigLIP), and how parts pass through it.

With residuals r_t, their final LayerNorm's deviations sigma_t and pooling patterns a[h', t] (one query, a learned
probe), the pooled vector is sum over h' of (sum over t of a[h', t] y_t) V[h'] O[h'], y_t = r_t C / sigma_t + beta,
plus biases; C = (I - 11'/D) diag(gamma). It is linear in r_t given a and sigma of the image, so every part of r_t
has a part in it; the embedding adds an MLP of the pooled vector, which is a part of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.models.families.hook_points import (
    Block,
    LayerParts,
    copy_unhooked,
    input_hook,
    is_hooked,
    output_hook,
    pass_saved,
)
from headroles.models.families.tower import Tower


class PooledTower(Tower):
    """A tower below an attention pooling head, whose heads count as those of one more layer, L = `layers`.

    `blocks.{L}` is the pooling head: `hook_resid_pre` (image, token, D) are the tokens after the final LayerNorm,
    `attn.hook_v` (image, token, head, width) their values, `attn.hook_pattern` (image, head, 1, token) and
    `attn.hook_z` (image, 1, head, width) have the probe as their only query, `hook_attn_out` and `hook_mlp_out`
    (image, 1, D) sum to `hook_resid_post` (image, D), the embedding.
    """

    at_row, pooling = False, True
    _head: Any

    def __init__(self, parts: Sequence[LayerParts], final_norm: nn.LayerNorm, head: Any) -> None:
        """`head` has `attention` (nn.MultiheadAttention) and `mlp`, and maps normed tokens to the embedding."""
        super().__init__(parts, final_norm, None)
        self.__dict__["_head"] = head
        block = Block()
        self.blocks.append(block)
        _connect_pooling(head, block)
        head.register_forward_hook(partial(output_hook, self.hook_embed))

    @property
    def moment_width(self) -> int:
        """The embedding's: through several pooling heads one head's output reaches all of it."""
        return self.embed

    def upper_modules(self, first: int) -> list[nn.Module]:
        return [*super().upper_modules(first), self._head]

    @property
    def _attention(self) -> nn.MultiheadAttention:
        return self._head.attention

    def readout(self) -> Float[Tensor, "residual pooling_and_width"]:
        """C V': takes a residual, divided by sigma, to the values of all pooling heads, one after the other."""
        weight = self._norm.weight[:, None] * self._attention.in_proj_weight.chunk(3)[2].T
        return weight - weight.mean(0, keepdim=True)

    def pool_rows(
        self, rows: Float[Tensor, "... token width"], weights: Float[Tensor, "... pooling token"]
    ) -> Float[Tensor, "... embed"]:
        """Part of the embedding of a part of the last residual stream; `weights`: pattern over sigma."""
        values = self.readout().unflatten(-1, (self._attention.num_heads, -1))
        pooled = torch.einsum("...nd,dnm->...nm", weights @ rows, values)
        return pooled.flatten(-2) @ self._attention.out_proj.weight.T

    def pool_head_outputs(
        self,
        z: Float[Tensor, "image token head width"],
        weights: Float[Tensor, "image pooling token"],
        layer: int,
    ) -> Float[Tensor, "image head embed"]:
        """Part of the embedding of each head of a layer, over all tokens and pooling heads."""
        output = self._parts[layer].weight().T.unflatten(0, (self.heads, self.head_width))
        maps = (output @ self.readout()).unflatten(-1, (self._attention.num_heads, -1))
        read = torch.einsum("int,ithk->ihnk", weights, z)
        pooled = torch.einsum("ihnk,hknm->ihnm", read, maps)
        return pooled.flatten(-2) @ self._attention.out_proj.weight.T

    def pool_biases(self, weights: Float[Tensor, "image pooling token"]) -> Float[Tensor, "image layer embed"]:
        """Part of the embedding of every encoder layer's attention output bias."""
        bias = torch.stack([part.bias() for part in self._parts])
        values = (bias @ self.readout()).unflatten(-1, (self._attention.num_heads, -1))
        pooled = weights.sum(-1)[:, None, :, None] * values
        return pooled.flatten(-2) @ self._attention.out_proj.weight.T

    def constant(self) -> Float[Tensor, "embed"]:
        """What beta, the values' bias and the pooling output's bias write; patterns sum to 1, so it is constant."""
        attention = self._attention
        value_weight, value_bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
        return attention.out_proj(value_weight @ self._norm.bias + value_bias)

    def pooling_bases(self) -> Float[Tensor, "head width embed"]:
        """W_O' of each pooling head: its z times this is its part of the embedding, the values' bias included."""
        return self._attention.out_proj.weight.T.unflatten(0, (self._attention.num_heads, -1))

    def bases(self) -> Float[Tensor, "layer head width embed"]:
        """Bases of the parts u that a pass observes, for all encoder layers and the pooling layer.

        An encoder head's u lies in the embedding space itself (identity); a pooling head's basis has rows of zeros
        below its own. Large: one square of the embedding's width a head.
        """
        square = torch.eye(self.embed, dtype=self._norm.weight.dtype, device=self._norm.weight.device)
        own = self.pooling_bases()
        pooled = nn.functional.pad(own, (0, 0, 0, self.embed - own.shape[1]))
        return torch.cat([square.expand(self.layers, self.heads, -1, -1), pooled[None]])

    def spans(
        self, layers: Sequence[int]
    ) -> list[tuple[tuple[int, ...], Float[Tensor, "layer head width embed"] | None]]:
        """One group a layer; None where the basis is the identity."""
        return [((layer,), self.pooling_bases()[None] if layer == self.layers else None) for layer in layers]

    def circuit(self, layer: int) -> tuple[Float[Tensor, "head residual width"], Float[Tensor, "head width residual"]]:
        """As in `Tower`; layer `layers` is the pooling heads', whose outputs make up the embedding."""
        if layer < self.layers:
            return super().circuit(layer)
        values, heads = self._pooling_values(), self._attention.num_heads
        return values.unflatten(-1, (heads, -1)).transpose(0, 1), self.pooling_bases().double()

    def written(self, layer: int) -> Float[Tensor, "residual embed"]:
        """As in `Tower`: through the values and outputs of all pooling heads, as though all looked at the same tokens.

        Where they look depends on the image, and with it what an encoder head really writes. Pooling heads write into
        the embedding itself: the identity.
        """
        output = self._attention.out_proj.weight.double().T
        return torch.eye(len(output)).to(output) if layer == self.layers else self._pooling_values() @ output

    def _pooling_values(self) -> Float[Tensor, "residual pooling_and_width"]:
        """`readout` in float64."""
        value = self._attention.in_proj_weight.chunk(3)[2].double()
        weight = self._norm.weight.double()[:, None] * value.T
        return weight - weight.mean(0, keepdim=True)

    def looks(
        self, layer: int
    ) -> tuple[Float[Tensor, "head residual_and_1 width"], Float[Tensor, "head residual width"]]:
        """As in `Tower`; of pooling heads there is one query, the learned probe's."""
        if layer < self.layers:
            return super().looks(layer)
        attention, heads = self._attention, self._attention.num_heads
        query, key, _ = attention.in_proj_weight.double().chunk(3)
        probe = self._head.probe[0].double() @ query.T + attention.in_proj_bias.double().chunk(3)[0]
        scaled = self._norm.weight.double()[:, None] * key.T
        scaled = scaled - scaled.mean(0, keepdim=True)
        return probe.unflatten(-1, (heads, -1)).transpose(0, 1), scaled.unflatten(-1, (heads, -1)).transpose(0, 1)

    def output(self, layer: int) -> nn.Linear:
        return self._attention.out_proj if layer == self.layers else super().output(layer)

    def biases(self) -> Float[Tensor, "layer embed"]:
        """Not constant here: see `pool_biases`."""
        raise NotImplementedError("a pooled tower's biases depend on the image: pool_biases")

    def read(self, rows: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """Final LayerNorm and pooling head: the embedding of all rows of the last residual stream."""
        return self.finish(self._norm(rows))

    def finish(self, normed: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """What `read` makes of the final LayerNorm's outputs."""
        return self._head(normed)

    def weigh(
        self, sigma: Float[Tensor, "image token 1"], pattern: Float[Tensor, "image pooling 1 token"]
    ) -> Float[Tensor, "image pooling token"]:
        """Pooling pattern over sigma: what each token's residual counts."""
        return pattern[:, :, 0] / sigma.transpose(1, 2)

    def copy_readout(self) -> nn.Sequential:
        """A copy of `read`'s LayerNorm and pooling head with parameters of its own, and without hook points."""
        return copy_unhooked(self._norm, self._head)


def _connect_pooling(head: Any, block: Block) -> None:
    """Let the hook points of `block` see, and edit, what flows through a pooling head."""
    head.register_forward_pre_hook(partial(input_hook, block.hook_resid_pre), with_kwargs=True)
    head.attention.register_forward_hook(partial(_pooling_hook, block))
    head.mlp.register_forward_hook(partial(output_hook, block.hook_mlp_out))
    head.register_forward_hook(partial(output_hook, block.hook_resid_post))


def _pooling_hook(block: Block, module: nn.MultiheadAttention, args: tuple, output: tuple) -> tuple | None:
    """nn.MultiheadAttention shows neither values, pattern nor z: they are computed again where somebody hooks them."""
    points = block.attn
    out, weights = output
    if any(map(is_hooked, (points.hook_v, points.hook_pattern, points.hook_z))):
        out = module.out_proj(points.hook_z(_attend(module, args, block)).flatten(-2))
    elif not is_hooked(block.hook_attn_out):
        return None
    return block.hook_attn_out(out), weights


def _attend(module: nn.MultiheadAttention, args: tuple, block: Block) -> Float[Tensor, "image query head width"]:
    """z of the pooling heads, from a pattern that passes its hook point."""
    projections = zip(args[:3], module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    query, key, value = (
        nn.functional.linear(tokens, weight, bias).unflatten(-1, (module.num_heads, -1))
        for tokens, weight, bias in projections
    )
    value = block.attn.hook_v(value).transpose(1, 2)
    pattern = (query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * module.head_dim**-0.5).softmax(-1)
    return (pass_saved(block.attn.hook_pattern, pattern) @ value).transpose(1, 2)
