"""Cut heads, or directions of heads, out of a tower, or scale them: as context managers, direct or total effect.

Total: what a head writes is replaced where it is written (`hook_z`), and all later layers work with that. Direct: the
forward stays as it is, and only the head's own part of the embedding is replaced (TextSpan, arXiv 2310.05916, sec. 4),
with the image's own LayerNorm deviation: f' = f + (z' - z) @ B / sigma; see `headroles.heads.contributions`. Where
attention pools the embedding (SigLIP), its heads count as those of one layer more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from operator import add
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.parts import LayerCut, Parts, find_operators, read_factors
from headroles.heads.pooling import token_weights
from headroles.heads.reference import HeadReference
from headroles.models.hooked_clip import HookedCLIP, MeanTower, PooledTower, Tower
from headroles.models.lens import HookPoint

MODES = ("mean", "zero", "resample")
"""What stands in for a head's output: its mean at that token, nothing, or its output on another image."""
EFFECTS = ("total", "direct")
TOWERS = ("visual", "text")

Edit = Callable[[int, Tensor], Tensor]
"""(layer, z (image, token, head, width)) -> z to go on with; must not write into what it got."""
Hooks = list[tuple[str | Callable, Callable]]
"""(name of a hook point, what it calls)."""


@typed
@contextmanager
def ablating(
    model: HookedCLIP,
    heads: Parts,
    mode: str = "mean",
    effect: str = "total",
    reference: HeadReference | None = None,
    seed: int = 0,
    tower: str = "visual",
) -> Iterator[HookedCLIP]:
    """While open, every forward of `model` runs without `heads`; yields the model.

    `heads`: as (layer, head), or by name, where "L6.H5.D0-2" are a head's three strongest directions
    (`headroles.heads.directions`): all else that the head writes is left.
    `mode` "mean" and "resample" need a `reference`; "resample" draws one image of it a forwarded image, the same for
    all heads, with `seed`. They replace the tokens that the reference knows, CLS and patches: tokens that somebody
    appended (`headroles.adapt`) keep what they are; "zero" takes every token. The text tower knows the total effect of
    "zero" alone. Raises InputError for a head, mode or reference that does not fit.
    """
    with Ablator(model, mode, effect, reference, seed, tower).cutting(heads):
        yield model


class Ablator:
    """Cuts one set of heads after another, as `ablating` does, but checks model and reference once."""

    def __init__(
        self,
        model: HookedCLIP,
        mode: str = "mean",
        effect: str = "total",
        reference: HeadReference | None = None,
        seed: int = 0,
        tower: str = "visual",
    ) -> None:
        _check("mode", mode, MODES)
        self.model, self.mode, self.effect, self.reference, self.tower = model, mode, effect, reference, tower
        self.sizes = _tower(model, tower)
        self.generator = torch.Generator().manual_seed(seed)
        if mode == "zero":
            return
        if tower == "text":
            raise InputError(f"mode: heads of the text tower can be zeroed or scaled, got {mode!r}")
        if reference is None:
            raise InputError(f"reference: {mode} needs one; HeadReference.collect(model, images) makes it, or use zero")
        reference.check(model)
        if mode == "resample" and not len(reference.pool):
            raise InputError("reference: resample needs whole images; collect it with a pool")

    @contextmanager
    def cutting(self, heads: Parts, factor: float = 0.0) -> Iterator[None]:
        """While open, every forward runs without these heads, or directions of heads; with a `factor` they are scaled
        by it, about what would stand in for them."""
        chosen = LayerCut.of(self.sizes, heads)
        edit: Edit
        if self.mode == "zero" or self.reference is None:
            edit = partial(_zero, chosen)
        else:
            self.reference.check_layers(chosen)
            edit = partial(_mean, chosen, self.reference)
            if self.mode == "resample":
                edit = _Resample(chosen, self.reference, self.generator)
        if factor:
            edit = partial(_about, edit, factor)
        with _editing(self.model, sorted(chosen), edit, self.effect, self.tower, every_token=self.mode == "zero"):
            yield


@typed
@contextmanager
def scaling_heads(
    model: HookedCLIP,
    factors: Float[Tensor, "layer head"] | Mapping[str, float],
    effect: str = "total",
    tower: str = "visual",
) -> Iterator[HookedCLIP]:
    """While open, every head's output counts `factors` times, at all tokens; yields the model.

    `factors`: one a head, or those of some, by name: {"L6.H3": 0, "L6.H5.D0-2": 0.5}, the latter of directions alone.
    Layers whose factors are all 1 are left alone, so that ones change no bit. Gradients reach `factors`.
    """
    sizes = _tower(model, tower)
    if isinstance(factors, Mapping):
        layers, scale = _scale_named(sizes, factors)
    else:
        layers, scale = _scale_all(sizes, factors.to(model.device, model.dtype))
    with _editing(model, layers, scale, effect, tower, every_token=True):
        yield model


def _scale_all(sizes: Tower, factors: Float[Tensor, "layer head"]) -> tuple[list[int], Edit]:
    """The layers where a factor is not 1, and what is done there."""
    if tuple(factors.shape) != (sizes.layers, sizes.heads):
        raise InputError(f"factors must have shape {(sizes.layers, sizes.heads)}, got {tuple(factors.shape)}")
    layers = [layer for layer in range(sizes.layers) if factors.requires_grad or (factors[layer] != 1).any()]
    return layers, lambda layer, z: z * factors[layer][:, None]


def _scale_named(sizes: Tower, factors: Mapping[str, float]) -> tuple[list[int], Edit]:
    """The same for heads, and directions, that are named."""
    named = {place: own for place, own in read_factors(sizes, factors).items() if (own != 1).any()}
    operators = find_operators(sizes, named)

    def scale(layer: int, z: Tensor) -> Tensor:
        new = z.clone()
        for (row, head), operator in operators.items():
            if row == layer:
                new[:, :, head] = z[:, :, head] @ operator.to(z)
        return new

    return sorted({layer for layer, _ in operators}), scale


@contextmanager
def _editing(
    model: HookedCLIP, layers: Sequence[int], edit: Edit, effect: str, tower: str, every_token: bool
) -> Iterator[None]:
    """Hooks that put `edit` to work in `layers`, and are gone when this closes, however it closes."""
    _check("effect", effect, EFFECTS)
    if effect == "direct" and tower == "text":
        raise InputError("effect: heads of the text tower have a total effect only, got 'direct'")
    own = 1 if every_token else model.least_tokens
    hooks = _direct_hooks(model, layers, edit) if effect == "direct" else _total_hooks(layers, edit, own, tower)
    with model.hooks(fwd_hooks=hooks if layers else []):
        yield


def _total_hooks(layers: Sequence[int], edit: Edit, own: int, tower: str) -> Hooks:
    """Edits of z; a run of fewer tokens than `own` is no image's: `headroles.adapt` also runs learned ones alone."""

    def hook(z: Tensor, hook: HookPoint, layer: int) -> Tensor:
        return z if z.shape[1] < own else edit(layer, z)

    return [(f"{tower}.blocks.{layer}.attn.hook_z", partial(hook, layer=layer)) for layer in layers]


def _direct_hooks(model: HookedCLIP, layers: Sequence[int], edit: Edit) -> Hooks:
    """Remember z, at CLS or where the embedding is pooled at all tokens, and edit the embedding that it belongs to."""
    tower, pooled = model.visual, not model.visual.at_row
    seen: dict[str, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    bases = torch.empty(0) if pooled else tower.bases().detach()

    def keep(tensor: Tensor, hook: HookPoint) -> None:
        seen[str(hook.name)] = tensor

    def keep_z(z: Tensor, hook: HookPoint, layer: int) -> None:
        if z.shape[1] >= model.least_tokens:
            outputs[layer] = z if pooled else z[:, :1]

    def hook_embed(embedding: Tensor, hook: HookPoint) -> Tensor:
        if embedding.ndim != 2:  # Rows of appended tokens, no image's.
            return embedding
        if any(layer not in outputs or len(outputs[layer]) != len(embedding) for layer in layers):
            raise InputError("effect: the direct effect needs the heads' layers to run before the embedding is read")
        changes = {layer: edit(layer, outputs[layer]) - outputs[layer] for layer in layers}
        if pooled:
            weights = token_weights(tower, seen)
            parts = [_pooled_change(tower, layer, change, weights) for layer, change in changes.items()]
            return embedding + reduce(add, parts)
        sigma = seen["visual.ln_final.hook_scale"]
        change = reduce(add, [part[:, 0].flatten(1) @ bases[layer].flatten(0, 1) for layer, part in changes.items()])
        return embedding + change / (sigma if sigma.ndim == 2 else sigma[:, 0])

    names: Hooks = [(f"visual.blocks.{layer}.attn.hook_z", partial(keep_z, layer=layer)) for layer in layers]
    if tower.pooling:
        names.append((f"visual.blocks.{tower.layers}.attn.hook_pattern", keep))
    return [*names, ("visual.ln_final.hook_scale", keep), ("visual.hook_embed", hook_embed)]


def _pooled_change(
    tower: Tower,
    layer: int,
    change: Float[Tensor, "image token head width"],
    weights: Float[Tensor, "image pooling token"],
) -> Float[Tensor, "image embed"]:
    """What a change of z changes in a pooled embedding, on the direct path."""
    if isinstance(tower, PooledTower) and layer == tower.layers:
        return change[:, 0].flatten(1) @ tower.pooling_bases().flatten(0, 1)
    return cast(PooledTower | MeanTower, tower).pool_head_outputs(change, weights, layer).sum(1)


def _zero(chosen: dict[int, LayerCut], layer: int, z: Tensor) -> Tensor:
    return chosen[layer].replace(z, torch.zeros_like(z[0]))


def _mean(chosen: dict[int, LayerCut], reference: HeadReference, layer: int, z: Tensor) -> Tensor:
    return chosen[layer].replace(z, reference.mean_of(layer).to(z))


def _about(edit: Edit, factor: float, layer: int, z: Tensor) -> Tensor:
    """What is between the edited z (0) and z itself (1), or beyond either."""
    return edit(layer, z).lerp(z, factor)


class _Resample:
    """Edits z to that of other images, drawn anew when the first of the layers runs."""

    def __init__(self, chosen: dict[int, LayerCut], reference: HeadReference, generator: torch.Generator) -> None:
        self.chosen, self.reference, self.first = chosen, reference, min(chosen, default=0)
        self.generator = generator
        self.donors = torch.empty(0, dtype=torch.long)

    def __call__(self, layer: int, z: Tensor) -> Tensor:
        if layer == self.first or len(self.donors) != len(z):
            self.donors = torch.randint(len(self.reference.pool), (len(z),), generator=self.generator)
        return self.chosen[layer].replace(z, self.reference.pool_of(layer)[self.donors].to(z))


def _tower(model: HookedCLIP, tower: str) -> Tower:
    _check("tower", tower, TOWERS)
    if tower == "text":
        model.check_text()
    return getattr(model, tower)


def _check(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
