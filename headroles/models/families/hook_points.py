"""The hook points of a tower and the hooks of torch that let them see, and edit, what flows through its modules.

Hook points are plain identities until somebody hooks them: the forward stays transformers' own, with its fused
attention.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.models.families.rotary import Rotary
from headroles.models.lens import HookPoint


def is_hooked(point: HookPoint) -> bool:
    """Whether anybody looks, forward or backward: `has_hooks`, many times faster, as each layer asks it often."""
    return bool(point.fwd_hooks or point.bwd_hooks)


class Attention(nn.Module):
    """Hook points inside an attention."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_v = HookPoint()
        self.hook_pattern = HookPoint()
        self.hook_z = HookPoint()


class Block(nn.Module):
    """Hook points of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.attn = Attention()
        self.hook_attn_out = HookPoint()
        self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()


class FinalNorm(nn.Module):
    """The hook point of the last LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_scale = HookPoint()


@dataclass(frozen=True)
class LayerParts:
    """The modules of one encoder layer, whatever its family calls them."""

    layer: nn.Module
    """The layer: residual stream to residual stream."""
    attention: Any
    """transformers' attention, with q_proj, k_proj and v_proj."""
    output: nn.Linear
    """The attention's output projection."""
    mlp: nn.Module
    """What follows the second LayerNorm."""
    norms: tuple[nn.LayerNorm, nn.LayerNorm]
    """Before the attention and before the MLP."""
    heads: int
    """Number of heads."""
    scale: float
    """Factor on query times key."""
    gains: tuple[nn.Module, nn.Module] | None = None
    """What multiplies the attention's and the MLP's output (layer scale); None: nothing does."""
    rotary: Rotary | None = None
    """How queries and keys are turned by their positions; None: they are not."""

    @property
    def head_width(self) -> int:
        """Width k of a head."""
        return self.output.in_features // self.heads

    def arguments(self, tokens: int) -> dict[str, Any]:
        """What the layer takes beside the residual stream and the mask, for so many tokens."""
        return {} if self.rotary is None else self.rotary.arguments(tokens)

    def weight(self) -> Float[Tensor, "residual head_and_width"]:
        """The output projection, layer scale included."""
        return self.output.weight if self.gains is None else self.gains[0](self.output.weight.T).T

    def reading(self) -> Float[Tensor, "residual head_and_width"]:
        """(I - 11'/D) diag(gamma) W_V, float64: from a residual over the first LayerNorm's deviation to values.

        Without the values' constant part, W_V beta + b_V.
        """
        weight = self.norms[0].weight.double()[:, None] * self.attention.v_proj.weight.double().T
        return weight - weight.mean(0, keepdim=True)

    def looking(
        self,
    ) -> tuple[Float[Tensor, "residual_and_1 head_and_width"], Float[Tensor, "residual head_and_width"]]:
        """What queries and keys are made of, float64: (I - 11'/D) diag(gamma) W_Q, over beta W_Q + b_Q, and W_K so.

        Of a score, what does not depend on the key moves no pattern: so keys have no constant part.
        """
        query, key = (getattr(self.attention, name) for name in ("q_proj", "k_proj"))
        norm = self.norms[0]
        parts = [norm.weight.double()[:, None] * each.weight.double().T for each in (query, key)]
        constant = query.weight.double() @ norm.bias.double()
        constant = constant if query.bias is None else constant + query.bias.double()
        centred = [part - part.mean(0, keepdim=True) for part in parts]
        return torch.cat([centred[0], constant[None]]), centred[1]

    def bias(self) -> Float[Tensor, "residual"]:
        """The output projection's bias b_O, layer scale included; zeros where it has none."""
        if self.output.bias is None:
            return self.output.weight.new_zeros(self.output.out_features)
        return self.output.bias if self.gains is None else self.gains[0](self.output.bias)


def connect_layer(parts: LayerParts, block: Block) -> None:
    """Let the hook points of `block` see, and edit, what flows through a transformers' encoder layer."""
    attention_end, mlp_end = parts.gains or (parts.output, parts.mlp)
    parts.layer.register_forward_pre_hook(partial(input_hook, block.hook_resid_pre), with_kwargs=True)
    parts.layer.register_forward_hook(partial(output_hook, block.hook_resid_post))
    mlp_end.register_forward_hook(partial(output_hook, block.hook_mlp_out))
    attention_end.register_forward_hook(partial(output_hook, block.hook_attn_out))
    parts.attention.v_proj.register_forward_hook(partial(_value_hook, parts, block.attn.hook_v))
    flow = _Flow(parts, block.attn.hook_pattern)
    parts.output.register_forward_pre_hook(partial(_z_hook, parts, block.attn, flow))


class _Flow:
    """Queries, keys, values and mask of the running forward, kept only while somebody hooks the pattern."""

    def __init__(self, parts: LayerParts, point: HookPoint) -> None:
        self.parts, self.point = parts, point
        self.seen: dict[str, Tensor] = {}
        self.mask: Tensor | None = None
        self.causal = False
        parts.attention.register_forward_pre_hook(self._keep_mask, with_kwargs=True)
        for name in ("q_proj", "k_proj", "v_proj"):
            getattr(parts.attention, name).register_forward_hook(partial(self._keep, name))

    def _keep_mask(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if is_hooked(self.point):
            self.mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
            self.causal = kwargs.get("is_causal", False)

    def _keep(self, name: str, module: nn.Module, args: tuple, output: Tensor) -> None:
        if is_hooked(self.point):
            self.seen[name] = output.unflatten(-1, (self.parts.heads, -1)).transpose(1, 2)

    def pattern(self) -> Float[Tensor, "image head query key"]:
        """Softmax of the scaled scores under the mask that the fused attention got."""
        query, key = self.seen["q_proj"], self.seen["k_proj"]
        if self.parts.rotary:
            query, key = (self.parts.rotary.turn(flow, flow.shape[-2]) for flow in (query, key))
        scores = query @ key.transpose(-1, -2) * self.parts.scale
        mask = self.mask
        if mask is None and self.causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)

    def attend(self, pattern: Float[Tensor, "image head query key"]) -> Float[Tensor, "image query head width"]:
        """What the heads read with this pattern: z."""
        return (pattern @ self.seen["v_proj"]).transpose(1, 2)

    def forget(self) -> None:
        """Let go of the forward that has been looked at."""
        self.seen, self.mask = {}, None


def _value_hook(parts: LayerParts, point: HookPoint, module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
    if not is_hooked(point):
        return None
    return point(output.unflatten(-1, (parts.heads, parts.head_width))).flatten(-2)


def _z_hook(parts: LayerParts, points: Attention, flow: _Flow, module: nn.Module, args: tuple) -> tuple[Tensor] | None:
    if not (is_hooked(points.hook_z) or is_hooked(points.hook_pattern)):
        return None
    z = args[0].unflatten(-1, (parts.heads, parts.head_width))
    if is_hooked(points.hook_pattern):
        z = pass_aside(points.hook_pattern, flow.pattern(), flow.attend, z)
        flow.forget()
    return (pass_saved(points.hook_z, z).flatten(-2),)


def pass_saved(point: HookPoint, tensor: Tensor) -> Tensor:
    """What `point` makes of the output of an operation that keeps its output for the gradient.

    An edit in place would spoil that gradient, so that hooks get a copy where there will be one.
    """
    return point(tensor.clone() if tensor.requires_grad else tensor)


def pass_aside(point: HookPoint, tensor: Tensor, use: Callable[[Tensor], Tensor], output: Tensor) -> Tensor:
    """`output`, or `use` of what `point` makes of a tensor that the forward does not look at.

    The latter where a hook returned another tensor or changed this one in place; where there may be a gradient it
    flows through the tensor, and the numbers stay the forward's own.
    """
    kept = tensor.detach().clone()
    passed = pass_saved(point, tensor)
    if not torch.equal(passed.detach(), kept):
        return use(passed)
    if not passed.requires_grad:
        return output
    used = use(passed)
    return output.detach() + (used - used.detach())


def input_hook(point: HookPoint, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
    """A forward pre-hook: the first argument passes `point`."""
    if not is_hooked(point):
        return None
    return (point(args[0]), *args[1:]), kwargs


def output_hook(point: HookPoint, module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
    """A forward hook: the output passes `point`."""
    return point(output) if is_hooked(point) else None


def scale_hook(point: HookPoint, module: nn.LayerNorm, args: tuple, output: Tensor) -> Tensor | None:
    """A forward hook of a LayerNorm: sigma, the deviation that it divides by, passes `point`."""
    if not is_hooked(point):
        return None
    (residual,) = args
    deviation = (residual.var(-1, unbiased=False, keepdim=True) + module.eps).sqrt()

    def divide(deviation: Tensor) -> Tensor:
        return (residual - residual.mean(-1, keepdim=True)) / deviation * module.weight + module.bias

    return pass_aside(point, deviation, divide, output)


def copy_unhooked(*modules: nn.Module) -> nn.Sequential:
    """Copies in a row; hooks would be copied too, and stay for good."""
    copied = copy.deepcopy(nn.Sequential(*modules))
    for module in copied.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    return copied
