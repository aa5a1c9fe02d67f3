"""How parts of the residual stream reach an embedding that is pooled over tokens: given the image, linearly.

See `headroles.models.families.pooled_tower` and `mean_tower` for the formulas. Parts are needed at all tokens until
the deviations and the pooling pattern are known, after the last layer; so images run in batches small enough to hold
them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.models.hooked_clip import HookedCLIP, MeanTower, PooledTower, Tower, recording

_SCALE = "visual.ln_final.hook_scale"
_HELD = 100_000_000
"""Numbers of activations held at once."""


@dataclasses.dataclass(frozen=True)
class PooledParts:
    """The parts of one batch's pooled embeddings."""

    heads: Float[Tensor, "image layer head moment_width"]
    """Heads of the asked encoder layers, on the direct path: times their `bases` their parts of the embedding."""
    weights: Float[Tensor, "image pooling token"]
    """Pooling pattern over sigma: what each token's residual counts."""
    embedding: Float[Tensor, "image embed"]
    """The embeddings, not normalised."""
    z: Float[Tensor, "image pooling width"] | None = None
    """Pooling heads' outputs before the output projection, where attention pools."""
    mlps: Float[Tensor, "image layer embed"] | None = None
    """MLP outputs of the asked layers."""
    start: Float[Tensor, "image embed"] | None = None
    """The residual stream's first value."""
    pooling_mlp: Float[Tensor, "image embed"] | None = None
    """What the pooling head's MLP adds."""


@torch.inference_mode()
def pooled_parts(
    model: HookedCLIP,
    pixel_values: Float[Tensor, "image 3 height width"],
    layers: Sequence[int],
    heads_only: bool = False,
) -> PooledParts:
    """Parts of image embeddings of a model whose vision tower is read over all tokens (`PooledTower`, `MeanTower`).

    `heads_only` leaves out all parts but those of heads.
    """
    held = (len(layers) * (1 if heads_only else 2) + 1) * model.patches * model.visual.width
    batches = pixel_values.split(max(1, _HELD // held))
    parts = [_batch_parts(model, batch, layers, heads_only) for batch in batches]
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in dataclasses.fields(PooledParts) if getattr(parts[0], field.name) is not None]
    return PooledParts(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def _batch_parts(model: HookedCLIP, pixel_values: Tensor, layers: Sequence[int], heads_only: bool) -> PooledParts:
    tower = cast(PooledTower | MeanTower, model.visual)
    z_names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
    mlp_names = [] if heads_only else [f"visual.blocks.{layer}.hook_mlp_out" for layer in layers]
    start_name, pool = "visual.blocks.0.hook_resid_pre", f"visual.blocks.{tower.layers}"
    names = dict.fromkeys([*z_names, *mlp_names, _SCALE, *(() if heads_only else [start_name])], _all)
    if tower.pooling:
        names |= dict.fromkeys([f"{pool}.attn.hook_pattern", f"{pool}.attn.hook_z", f"{pool}.hook_mlp_out"], _all)
    with recording(model, names) as seen:
        embedding = model(pixel_values.to(model.device, model.dtype))
    weights = token_weights(tower, seen)
    heads = [_heads(tower, seen.pop(name), weights, layer) for name, layer in zip(z_names, layers, strict=True)]
    shape = (len(embedding), 0, tower.heads, tower.moment_width)
    found: dict[str, Any] = {"heads": torch.stack(heads, 1) if heads else embedding.new_zeros(shape)}
    if tower.pooling:
        found["z"] = seen[f"{pool}.attn.hook_z"][:, 0]
    if not heads_only:
        found["mlps"] = torch.stack([tower.pool_rows(seen.pop(name), weights) for name in mlp_names], 1)
        found["start"] = tower.pool_rows(seen[start_name], weights)
        if tower.pooling:
            found["pooling_mlp"] = seen[f"{pool}.hook_mlp_out"][:, 0]
    return PooledParts(weights=weights, embedding=embedding, **found)


def token_weights(tower: Tower, seen: Mapping[str, Tensor]) -> Float[Tensor, "image pooling token"]:
    """What each token's residual counts in a forward whose deviations and, if any, pooling pattern were `seen`."""
    if isinstance(tower, PooledTower):
        return tower.weigh(seen[_SCALE], seen[f"visual.blocks.{tower.layers}.attn.hook_pattern"])
    return cast(MeanTower, tower).weigh(seen[_SCALE])


def _heads(tower: Tower, z: Tensor, weights: Tensor, layer: int) -> Float[Tensor, "image head moment_width"]:
    if isinstance(tower, PooledTower):
        return tower.pool_head_outputs(z, weights, layer)
    return cast(MeanTower, tower).pool_heads(z, weights)


def _all(tensor: Tensor) -> Tensor:
    return tensor
