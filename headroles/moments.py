"""HeadMoments: all that TextSpan needs of any number of images, in a few small matrices per head.

A head's part of a unit embedding is u @ B with u = z / (sigma |f|) and a constant B (see `hooked_clip.Tower.bases`),
so its mean and covariance follow from the mean and covariance of u, a vector of the head's own width. They are kept
as sums, per block of images, in float64: sums stream, resume, merge and resample exactly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from headroles.errors import InputError
from headroles.files import write_bytes
from headroles.hooked_clip import HookedCLIP, recording

FORMAT = "headroles.moments.1"


@dataclass
class HeadMoments:
    """Sums of u and u u' over images, for `layers` of a vision tower, in disjoint blocks of images."""

    layers: tuple[int, ...]
    """Layers, 0-based, in the order of the sums."""
    weights_hash: str
    """Hash of the model whose heads these are."""
    count: Float[Tensor, "block"]
    """Images in every block."""
    first: Float[Tensor, "block layer head width"]
    """Sum of u, float64."""
    second: Float[Tensor, "block layer head width width"]
    """Sum of u u', float64."""

    @classmethod
    def empty(cls, model: HookedCLIP, layers: Sequence[int], blocks: int = 32) -> HeadMoments:
        """No image yet."""
        shape = (blocks, len(layers), model.visual.heads, model.visual.head_width)
        zeros = torch.zeros(*shape, shape[-1], dtype=torch.float64, device=model.device)
        return cls(tuple(layers), model.weights_hash(), zeros[:, 0, 0, 0, 0].clone(), zeros[..., 0].clone(), zeros)

    @property
    def images(self) -> int:
        """How many images went in."""
        return int(self.count.sum().item())

    def update(self, u: Float[Tensor, "image layer head width"], block: Int[Tensor, "image"]) -> None:
        """Fold in a batch; `block[i]` says which block image i belongs to."""
        u = u.to(self.first)
        block = block.to(self.first.device)
        self.count.index_add_(0, block, torch.ones_like(block, dtype=torch.float64))
        self.first.index_add_(0, block, u)
        for number in block.unique().tolist():
            columns = u[block == number].permute(1, 2, 3, 0)
            self.second[number] += columns @ columns.transpose(-1, -2)

    def merge(self, other: HeadMoments) -> HeadMoments:
        """The moments of both sets of images together; their images must be disjoint."""
        for name in ("layers", "weights_hash"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"moments differ in {name}: {getattr(self, name)} and {getattr(other, name)}")
        if self.second.shape != other.second.shape:
            raise InputError(
                f"moments differ in shape: {tuple(self.second.shape)} and {tuple(other.second.shape)}; "
                "score both with the same number of blocks"
            )
        sums = (getattr(self, name) + getattr(other, name) for name in ("count", "first", "second"))
        return HeadMoments(self.layers, self.weights_hash, *sums)

    def covariance(
        self, draws: Float[Tensor, "draw block"] | None = None
    ) -> Float[Tensor, "draw layer head width width"]:
        """Covariance of u (divided by n) over all images, or for each row of block multiplicities in `draws`."""
        if draws is None:
            draws = torch.ones(1, len(self.count), dtype=torch.float64, device=self.count.device)
        images = (draws @ self.count)[:, None, None, None]
        mean = torch.einsum("rb,blhk->rlhk", draws, self.first) / images
        square = torch.einsum("rb,blhkm->rlhkm", draws, self.second) / images[..., None]
        return square - mean[..., :, None] * mean[..., None, :]

    def save(self, path: str | os.PathLike) -> None:
        """Write a safetensors file; u u' is symmetric, so only its upper triangle is stored."""
        width = self.second.shape[-1]
        rows, columns = torch.triu_indices(width, width)
        tensors = {
            "count": self.count.cpu(),
            "first": self.first.cpu().contiguous(),
            "second": self.second[..., rows, columns].cpu().contiguous(),
        }
        layers = ",".join(map(str, self.layers))
        write_bytes(path, save(tensors, {"format": FORMAT, "layers": layers, "weights_hash": self.weights_hash}))

    @classmethod
    def load(cls, path: str | os.PathLike) -> HeadMoments:
        """Read what `save` wrote."""
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InputError(f"{path} holds no head moments; expected a file that `headroles score` wrote")
                count, first, half = (file.get_tensor(name) for name in ("count", "first", "second"))
        except SafetensorError as error:
            raise InputError(f"{path} is not a whole safetensors file ({error}); score again") from error
        width = first.shape[-1]
        rows, columns = torch.triu_indices(width, width)
        second = first.new_zeros(*first.shape, width)
        second[..., rows, columns] = half
        second[..., columns, rows] = half
        layers = tuple(int(layer) for layer in metadata["layers"].split(","))
        return cls(layers, metadata["weights_hash"], count, first, second)


@torch.inference_mode()
def observe(
    model: HookedCLIP, pixel_values: Float[Tensor, "image 3 height width"], layers: Sequence[int]
) -> Float[Tensor, "image layer head width"]:
    """u = z / (sigma |f|) of a batch at the CLS row: one ordinary forward, nothing else is kept."""
    return observe_with_embedding(model, pixel_values, layers)[0]


@torch.inference_mode()
def observe_with_embedding(
    model: HookedCLIP, pixel_values: Float[Tensor, "image 3 height width"], layers: Sequence[int]
) -> tuple[Float[Tensor, "image layer head width"], Float[Tensor, "image embed"]]:
    """`observe`'s u and the unit embeddings of the same forward."""
    scale_name = "visual.ln_final.hook_scale"
    z_names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
    names = {name: _cls_row for name in z_names} | {scale_name: lambda scale: scale}
    with recording(model, names) as seen:
        embedding = model(pixel_values.to(model.device, model.dtype))
    length = embedding.norm(dim=-1, keepdim=True)
    u = torch.stack([seen[name] for name in z_names], 1) / (seen[scale_name] * length)[:, :, None, None]
    return u, embedding / length


def _cls_row(z: Float[Tensor, "image token head width"]) -> Float[Tensor, "image head width"]:
    return z[:, 0].clone()
