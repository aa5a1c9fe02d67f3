"""diff_models(): which heads and directions a fine-tuning changed, by weights alone, in two models of one shape.

A head is two products of its weights: where it looks, Q K' (the first LayerNorm and the queries' constant folded in),
and what it moves, W_V W_O, which the last LayerNorm and the projection read out as M (`headroles.heads.directions`).
Products are compared, not factors: a head whose inner basis was rotated is the same head.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.directions import Directions
from headroles.heads.model_diff import DirectionShift, HeadShift, ModelDiff
from headroles.heads.names import head_name
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.load import load

LEADING = 3
"""Directions of a head that are followed one by one."""
Factors: TypeAlias = "tuple[Float[Tensor, 'head left width'], Float[Tensor, 'head width right']]"
"""Two factors of a product a head."""


@typed
@torch.no_grad()
def diff_models(
    base: HookedCLIP | str | os.PathLike[str],
    tuned: HookedCLIP | str | os.PathLike[str],
    *,
    tower: str = "visual",
    leading: int = LEADING,
    device: str = "auto",
) -> ModelDiff:
    """Compare two models of one shape, head by head, by their weights alone; no image is read.

    `base` and `tuned`: models, or names, folders, files or hub ids as `load` takes them. `leading`: directions of a
    head that are followed one by one, and whose spans' principal angles are its rotation. Raises InputError where the
    models are not of one shape.
    """
    if tower not in ("visual", "text"):
        raise InputError(f"tower must be one of visual, text, got {tower!r}")
    models = [each if isinstance(each, HookedCLIP) else load(str(each), device) for each in (base, tuned)]
    for model in models:
        if tower == "text":
            model.check_text()
    towers: list[Tower] = [getattr(model, tower) for model in models]
    _check_alike(models, towers)
    if not 1 <= leading <= towers[0].head_width:
        raise InputError(f"leading must be from 1 to the heads' width, {towers[0].head_width}, got {leading}")
    layers = range(towers[0].layers + towers[0].pooling)
    heads = [shift for layer in layers for shift in _compare_layer(towers, layer, leading)]
    tensors = _compare_tensors(models)
    return ModelDiff(
        names=(models[0].model_name, models[1].model_name),
        hashes=(models[0].weights_hash(), models[1].weights_hash()),
        tower=tower,
        heads=tuple(sorted(heads, key=lambda head: (-head.change, head.layer, head.head))),
        tensors={name: change for name, change in sorted(tensors.items(), key=lambda each: -each[1]) if change > 0},
        compared=len(tensors),
    )


def _check_alike(models: Sequence[HookedCLIP], towers: Sequence[Tower]) -> None:
    """InputError where the towers have other sizes."""
    sizes = [(each.layers, each.heads, each.width, each.embed) for each in towers]
    kinds = [model.family.title for model in models]
    if sizes[0] != sizes[1] or kinds[0] != kinds[1]:
        said = [
            f"{model.model_name} ({kind}) has {layers} layers of {heads} heads, width {width}, embedding {embed}"
            for model, kind, (layers, heads, width, embed) in zip(models, kinds, sizes, strict=True)
        ]
        raise InputError(f"models: {'; '.join(said)}; only models of one shape can be compared")


def _compare_tensors(models: Sequence[HookedCLIP]) -> dict[str, float]:
    """Relative change of every tensor that both have in one shape; of others, 1."""
    old, new = (model.clip.state_dict() for model in models)
    return {
        name: _ratio((new[name].double() - old[name].double()).norm().item(), old[name].double().norm().item())
        if name in old and name in new and old[name].shape == new[name].shape
        else 1.0
        for name in sorted(old.keys() | new.keys())
    }


def _compare_layer(towers: Sequence[Tower], layer: int, leading: int) -> list[HeadShift]:
    circuits, looks = [tower.circuit(layer) for tower in towers], [tower.looks(layer) for tower in towers]
    written = [tower.written(layer) for tower in towers]
    through = [(reading, output @ after) for (reading, output), after in zip(circuits, written, strict=True)]
    change, writes = _changes(*through), _changes(*circuits)
    reads = _changes(*((query, key.mT) for query, key in looks))
    found = [Directions.of(tower, [layer]) for tower in towers]
    whole = torch.stack([each.sigma[0, :, leading - 1] for each in found]).amin(0) > 0
    rotation = _angles(found[0].writes[0, :, :leading], found[1].writes[0, :, :leading], whole)
    reading = [each.reads[0, :, :, :leading].mT for each in found]
    read_rotation = _angles(reading[0], reading[1], whole)
    shifts = _follow(found[0], through[1], leading)
    return [
        HeadShift(
            head_name((layer, head)), layer, head, change[head], writes[head], reads[head], rotation[head],
            read_rotation[head], shifts[head],
        )
        for head in range(len(change))
    ]  # fmt: skip


def _changes(old: Factors, new: Factors) -> list[float]:
    """Frobenius norm of the difference of two products, over that of the first, a head; no product is made.

    A B - A0 B0 = [A - A0, A] [B0; B - B0], so that equal factors give exactly 0, and close ones lose no digits.
    """
    left = torch.cat([new[0] - old[0], new[0]], -1)
    right = torch.cat([old[1], new[1] - old[1]], -2)
    norms = (_norm(left, right), _norm(*old), _norm(*new))
    return [_ratio(*map(float, each)) for each in zip(*norms, strict=True)]


def _norm(left: Tensor, right: Tensor) -> Float[Tensor, "head"]:
    return ((left.mT @ left) * (right @ right.mT)).sum((-2, -1)).clamp_min(0).sqrt()


def _ratio(difference: float, before: float, after: float = 0.0) -> float:
    """A relative change; 1 where there was nothing before and something is now."""
    return difference / before if before > 0 else float(max(difference, after) > 0)


def _angles(
    old: Float[Tensor, "head direction space"], new: Float[Tensor, "head direction space"], whole: Bool[Tensor, "head"]
) -> list[float | None]:
    """Largest principal angle between the spans of orthonormal rows, in degrees; None where these are not whole."""
    apart = torch.where(whole[:, None, None], new - (new @ old.mT) @ old, 0.0)
    angles = torch.linalg.matrix_norm(apart, 2).clamp(0, 1).asin().rad2deg()
    return [angle if there else None for angle, there in zip(angles.tolist(), whole.tolist(), strict=True)]


def _follow(base: Directions, tuned: Factors, leading: int) -> list[tuple[DirectionShift, ...]]:
    """What the tuned heads write of what each leading direction of the base reads."""
    sigma, old = base.sigma[0, :, :leading], base.writes[0, :, :leading]
    new = (base.reads[0, :, :, :leading].mT @ tuned[0]) @ tuned[1]
    size = new.norm(dim=-1)
    cosine = (new * old).sum(-1) / size.clamp_min(1e-300)
    across = (new - (new * old).sum(-1, keepdim=True) * old).norm(dim=-1) / size.clamp_min(1e-300)
    turned = torch.atan2(across, cosine).rad2deg()
    return [
        tuple(
            DirectionShift(number, sigma[head, number].item(), size[head, number].item(), turned[head, number].item()
                           if size[head, number] > 1e-3 * sigma[head, number] > 0 else None)
            for number in range(leading)
        )
        for head in range(len(sigma))
    ]  # fmt: skip
