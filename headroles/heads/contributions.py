"""Exact parts of an embedding: what every head, MLP, bias and the input write into it (TextSpan, 2310.05916, eq. 4).

With residual r at the CLS (EOT) row, sigma its LayerNorm deviation and R the readout matrix, the embedding is
r @ R / sigma + P beta, and r is a sum: the input row, every head's z @ W_O, every b_O and every MLP output. Where the
embedding is pooled over tokens, by attention (SigLIP) or as their mean, see `headroles.heads.pooling`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.heads.pooling import pooled_parts
from headroles.models.hooked_clip import HookedCLIP, MeanTower, PooledTower, Tower, recording


@dataclass(frozen=True)
class Contributions:
    """The parts of one batch's embeddings; `total()` is the embedding, not normalised."""

    heads: Float[Tensor, "image layer head embed"]
    """Attention heads, without the output projection's bias."""
    biases: Float[Tensor, "image layer embed"]
    """Attention output biases b_O."""
    mlps: Float[Tensor, "image layer embed"]
    """MLP outputs."""
    start: Float[Tensor, "image embed"]
    """The residual stream's first value (vision: after the pre-LayerNorm)."""
    constant: Float[Tensor, "embed"]
    """P beta and other biases that are the same for all inputs."""
    pooling_mlp: Float[Tensor, "image embed"] | None = None
    """SigLIP: the MLP of the pooling head."""
    pooling_heads: Float[Tensor, "image head embed"] | None = None
    """SigLIP: the heads of the pooling head. A second cut through the same sum, so not in `total()`: together with
    the pooling output's bias they are heads + biases + mlps + start + constant."""

    def __repr__(self) -> str:
        """One line."""
        images, layers, heads, embed = self.heads.shape
        return f"Contributions({images} inputs: {layers} layers of {heads} heads, MLPs and biases, embedding {embed})"

    def total(self) -> Float[Tensor, "image embed"]:
        """The sum of all parts."""
        total = self.heads.sum((1, 2)) + self.biases.sum(1) + self.mlps.sum(1) + self.start + self.constant
        return total if self.pooling_mlp is None else total + self.pooling_mlp


@torch.inference_mode()
def image_contributions(model: HookedCLIP, pixel_values: Float[Tensor, "image 3 height width"]) -> Contributions:
    """Parts of image embeddings, read at the CLS row or over all tokens."""
    if not model.visual.at_row:
        return _pooled_contributions(model, pixel_values)
    rows = torch.zeros(len(pixel_values), dtype=torch.long, device=model.device)
    return _contributions(model, "visual", rows, pixel_values=pixel_values.to(model.device, model.dtype))


@torch.inference_mode()
def text_contributions(model: HookedCLIP, texts: list[str]) -> Contributions:
    """Parts of text embeddings, read at the end of text (CLIP) or the last token (SigLIP)."""
    tokens = model.tokenize(texts)
    return _contributions(model, "text", model.text_rows(tokens["input_ids"]), **tokens)


def _contributions(model: HookedCLIP, side: str, rows: Tensor, **inputs: Tensor) -> Contributions:
    tower: Tower = getattr(model, side)
    pick = row_picker(rows)
    blocks = [f"{side}.blocks.{layer}" for layer in range(tower.layers)]
    scale_name = f"{side}.ln_final.hook_scale"
    names = {f"{blocks[0]}.hook_resid_pre": pick, scale_name: pick}
    names |= {f"{block}.attn.hook_z": pick for block in blocks}
    names |= {f"{block}.hook_mlp_out": pick for block in blocks}
    with recording(model, names) as seen:
        model(**inputs)
    scale = seen[scale_name]
    readout = tower.readout()
    z = torch.stack([seen[f"{block}.attn.hook_z"] for block in blocks], 1) / scale[:, None, None]
    mlp = torch.stack([seen[f"{block}.hook_mlp_out"] for block in blocks], 1)
    return Contributions(
        heads=torch.einsum("ilhk,lhkd->ilhd", z, tower.bases()),
        biases=tower.biases() / scale[:, None],
        mlps=mlp @ readout / scale[:, None],
        start=seen[f"{blocks[0]}.hook_resid_pre"] @ readout / scale,
        constant=tower.constant(),
    )


def _pooled_contributions(model: HookedCLIP, pixel_values: Float[Tensor, "image 3 height width"]) -> Contributions:
    tower = cast(PooledTower | MeanTower, model.visual)
    parts = pooled_parts(model, pixel_values, range(tower.layers))
    pooling = tower if isinstance(tower, PooledTower) else None
    return Contributions(
        heads=parts.heads if pooling else torch.einsum("ilhk,lhkd->ilhd", parts.heads, tower.bases()),
        biases=tower.pool_biases(parts.weights),
        mlps=cast(Tensor, parts.mlps),
        start=cast(Tensor, parts.start),
        constant=tower.constant(),
        pooling_mlp=parts.pooling_mlp,
        pooling_heads=None if pooling is None else _pooling_heads(pooling, cast(Tensor, parts.z)),
    )


def _pooling_heads(tower: PooledTower, z: Float[Tensor, "image head width"]) -> Float[Tensor, "image head embed"]:
    return torch.einsum("ihk,hkd->ihd", z, tower.pooling_bases())


def row_picker(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """Takes (image, token, ...) to (image, ...) at each image's row; what is already one row passes."""

    def pick(tensor: Tensor) -> Tensor:
        if tensor.ndim == 2:
            return tensor
        return tensor[torch.arange(len(rows), device=tensor.device), rows]

    return pick
