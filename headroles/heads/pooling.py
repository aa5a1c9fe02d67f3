"""How parts of the residual stream reach an embedding that attention pools over tokens: given the image, linearly.

See `headroles.models.families.pooled_tower` for the formula. Parts are needed at all tokens until the pooling pattern
is known, after the last layer; so images run in batches small enough to hold them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.models.hooked_clip import HookedCLIP, PooledTower, recording

_HELD = 100_000_000
"""Numbers of activations held at once."""


@dataclasses.dataclass(frozen=True)
class PooledParts:
    """The parts of one batch's pooled embeddings."""

    heads: Float[Tensor, "image layer head embed"]
    """Heads of the asked encoder layers, on the direct path through the pooling head."""
    weights: Float[Tensor, "image pooling token"]
    """Pooling pattern over sigma: what each token's residual counts."""
    z: Float[Tensor, "image pooling width"]
    """Pooling heads' outputs before the output projection."""
    embedding: Float[Tensor, "image embed"]
    """The embeddings, not normalised."""
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
    """Parts of image embeddings of a model whose vision tower pools (`PooledTower`).

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
    tower = cast(PooledTower, model.visual)
    pool = f"visual.blocks.{tower.layers}"
    z_names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
    mlp_names = [] if heads_only else [f"visual.blocks.{layer}.hook_mlp_out" for layer in layers]
    start_name, scale_name, pool_mlp = "visual.blocks.0.hook_resid_pre", "visual.ln_final.hook_scale", "hook_mlp_out"
    names = dict.fromkeys([*z_names, *mlp_names, scale_name, f"{pool}.attn.hook_pattern", f"{pool}.attn.hook_z"], _all)
    if not heads_only:
        names |= {start_name: _all, f"{pool}.{pool_mlp}": _all}
    with recording(model, names) as seen:
        embedding = model(pixel_values.to(model.device, model.dtype))
    weights = seen[f"{pool}.attn.hook_pattern"][:, :, 0] / seen[scale_name].transpose(1, 2)
    named = zip(z_names, layers, strict=True)
    heads = [tower.pool_head_outputs(seen.pop(name), weights, layer) for name, layer in named]
    shape = (len(embedding), 0, tower.heads, tower.embed)
    found = PooledParts(
        heads=torch.stack(heads, 1) if heads else embedding.new_zeros(shape),
        weights=weights,
        z=seen[f"{pool}.attn.hook_z"][:, 0],
        embedding=embedding,
    )
    if heads_only:
        return found
    return dataclasses.replace(
        found,
        mlps=torch.stack([tower.pool_rows(seen.pop(name), weights) for name in mlp_names], 1),
        start=tower.pool_rows(seen[start_name], weights),
        pooling_mlp=seen[f"{pool}.{pool_mlp}"][:, 0],
    )


def _all(tensor: Tensor) -> Tensor:
    return tensor
