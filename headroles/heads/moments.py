"""HeadMoments: all that TextSpan needs of any number of images, in a few small matrices per head.

A head's part of a unit embedding is u @ B with u = z / (sigma |f|) and a constant B (see `hooked_clip.Tower.bases`),
so its mean and covariance follow from the mean and covariance of u, a vector of the head's own width. They are kept
as sums, per block of images, in float64: sums stream, resume, merge and resample exactly.

Where attention pools the embedding (SigLIP), a head's part depends on where the pooling heads look, and reaches the
whole embedding space: no constant basis of the head's width holds it. There u is the part itself, B the identity, and
the moments, exact too, are squares of the embedding's width; fewer blocks of images keep them within bounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.errors import InputError
from headroles.files.tensors import read_tensors, write_hashed, write_tensors
from headroles.heads.pooling import pooled_parts
from headroles.models.hooked_clip import HookedCLIP, Tower, recording
from headroles.models.precision import half_precision

FORMAT = "headroles.moments.1"
UNKNOWN = "number modulo blocks"
"""How blocks were made in files that do not say it."""

_ROOM = 2 * 2**30
"""Bytes of moments up to which there are as many blocks as asked for; beyond, as many as fit, at least _FEWEST."""
_MOST = 8 * 2**30
"""Bytes of moments that are refused."""
_FEWEST = 4
"""Blocks below which a bootstrap over them says little."""


@dataclass
class HeadMoments:
    """Sums of u and u u' over images (of a text tower: texts), for `layers` of it, in disjoint blocks of them."""

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
    blocks_by: str = "contiguous"
    """How images were put into blocks: see `headroles.images.blocks.Blocks`."""
    tower: str = "visual"
    """Whose heads: "visual", which images go into, or "text"."""

    def __repr__(self) -> str:
        """One line."""
        blocks, _, heads, width = self.first.shape
        what, layers = f"{self.images:,} images in {blocks} blocks", ", ".join(map(str, self.layers))
        return f"HeadMoments({what}; layers {layers}, {heads} heads of width {width}, {self.tower} tower)"

    @classmethod
    def empty(
        cls, model: HookedCLIP, layers: Sequence[int], blocks: int = 32, blocks_by: str = "contiguous",
        tower: str = "visual",
    ) -> HeadMoments:  # fmt: skip
        """No image yet. Wide heads (of a tower that pools) may get fewer blocks, see `blocks_within`."""
        own: Tower = getattr(model, tower)
        heads = (len(layers), own.heads, own.moment_width)
        if own.pooling:
            blocks = blocks_within(*heads, blocks)
        shape = (blocks, *heads)
        count, first, second = (
            torch.zeros(size, dtype=torch.float64, device=model.device)
            for size in (shape[:1], shape, (*shape, shape[-1]))
        )
        return cls(tuple(layers), model.weights_hash(), count, first, second, blocks_by, tower)

    def tower_of(self, model: HookedCLIP) -> Tower:
        """The tower of this model whose heads these are."""
        return getattr(model, self.tower)

    def to(self, device: torch.device) -> HeadMoments:
        """The same moments on another device."""
        return replace(self, count=self.count.to(device), first=self.first.to(device), second=self.second.to(device))

    @property
    def images(self) -> int:
        """How many images went in."""
        return int(self.count.sum().item())

    def update(self, u: Float[Tensor, "image layer head width"], block: Int[Tensor, "image"]) -> None:
        """Fold in a batch; `block[i]` says which block image i belongs to.

        With `block` in the CPU's memory, where a loader leaves it, nothing waits for a GPU.
        """
        block = block.cpu()
        for number in block.unique().tolist():  # One or two, where neighbours lie in one block.
            rows = (block == number).nonzero()[:, 0]
            own = u if len(rows) == len(u) else u[rows.to(u.device, non_blocking=True)]
            columns = own.permute(1, 2, 3, 0).to(self.first.dtype, memory_format=torch.contiguous_format)
            self.count[number] += len(rows)
            self.first[number] += columns.sum(-1)
            columns = columns.flatten(0, 1)
            self.second[number].flatten(0, 1).baddbmm_(columns, columns.transpose(1, 2))

    def sums(self) -> dict[str, Tensor]:
        """What adds up over disjoint sets of images, by name; the tensors themselves."""
        return {"count": self.count, "first": self.first, "second": self.second}

    def select(self, layers: Sequence[int], width: int) -> HeadMoments:
        """The moments of some of the layers, of the first `width` numbers of u: a view where it is one layer."""
        if tuple(layers) == self.layers and width == self.first.shape[-1]:
            return self
        chosen = [self.layers.index(layer) for layer in layers]
        rows = slice(chosen[0], chosen[0] + 1) if len(chosen) == 1 else chosen
        first, second = self.first[:, rows, :, :width], self.second[:, rows, :, :width, :width]
        return replace(self, layers=tuple(layers), first=first, second=second)

    def of_head(self, row: int, head: int) -> HeadMoments:
        """The moments of one head of the layer in this row: a view."""
        first, second = (sums[:, row : row + 1, head : head + 1] for sums in (self.first, self.second))
        return replace(self, layers=self.layers[row : row + 1], first=first, second=second)

    def merge(self, other: HeadMoments) -> HeadMoments:
        """The moments of both sets of images together; their images must be disjoint."""
        for name in ("layers", "weights_hash", "blocks_by", "tower"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"moments differ in {name}: {getattr(self, name)} and {getattr(other, name)}")
        if self.second.shape != other.second.shape:
            raise InputError(
                f"moments differ in shape: {tuple(self.second.shape)} and {tuple(other.second.shape)}; "
                "score both with the same number of blocks"
            )
        first, second = self.first + other.first, self.second + other.second
        return replace(self, count=self.count + other.count, first=first, second=second)

    def mean(self) -> Float[Tensor, "layer head width"]:
        """Mean of u over all images."""
        return self.first.sum(0) / self.count.sum()

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

    def variances(
        self, rows: Float[Tensor, "row width"], draws: Float[Tensor, "draw block"] | None = None
    ) -> Float[Tensor, "draw layer head row"]:
        """Variance of row @ u: what `covariance` gives, from one product a block instead of one a draw.

        Sums are taken about the mean over all images, so that single precision of `rows` does.
        """
        if draws is None:
            draws = torch.ones(1, len(self.count), dtype=torch.float64, device=self.count.device)
        mean = self.mean()
        squares, sums = [], []
        for count, first, second in zip(self.count, self.first, self.second, strict=True):
            cross = first[..., :, None] * mean[..., None, :]
            centred = second - cross - cross.transpose(-1, -2) + count * mean[..., :, None] * mean[..., None, :]
            squares.append(((rows @ centred.to(rows)) * rows).sum(-1))
            sums.append((first - count * mean).to(rows) @ rows.T)
        images = (draws @ self.count).to(rows)[:, None, None, None]
        weights = draws.to(rows)
        square = torch.einsum("rb,blht->rlht", weights, torch.stack(squares)) / images
        return square - (torch.einsum("rb,blht->rlht", weights, torch.stack(sums)) / images) ** 2

    def save(self, path: str | os.PathLike, more: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file, with `more` metadata and then a hash.

        u u' is symmetric: only its upper triangle is stored.
        """
        width = self.second.shape[-1]
        rows, columns = torch.triu_indices(width, width)
        tensors = {
            "count": self.count,
            "first": self.first,
            "second": self.second[..., rows, columns],
        }
        layers = ",".join(map(str, self.layers))
        metadata = {"format": FORMAT, "layers": layers, "weights_hash": self.weights_hash, "blocks_by": self.blocks_by}
        metadata |= {"tower": self.tower, **(more or {})}
        (write_hashed if more else write_tensors)(path, tensors, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike) -> HeadMoments:
        """Read what `save` wrote."""
        what = "head moments; expected a file that `headroles score` wrote"
        sums, metadata = read_tensors(path, ("count", "first", "second"), FORMAT, what)
        count, first, half = sums.values()
        layers = read_layers(path, metadata)
        width = first.shape[-1] if first.ndim == 4 else 0
        shape = (*count.shape, len(layers), *first.shape[2:])
        if first.shape != shape or half.shape != (*shape[:-1], width * (width + 1) // 2) or bool((count < 0).any()):
            raise InputError(f"{path} holds sums whose shapes or counts contradict each other; score again")
        rows, columns = torch.triu_indices(width, width)
        second = first.new_zeros(*first.shape, width)
        second[..., rows, columns] = half
        second[..., columns, rows] = half
        told = (metadata.get("blocks_by", UNKNOWN), metadata.get("tower", "visual"))
        return cls(layers, metadata.get("weights_hash", ""), count, first, second, *told)


def read_layers(path: str | os.PathLike, metadata: Mapping[str, str]) -> tuple[int, ...]:
    """The layers that a file's metadata name; InputError where they name none."""
    try:
        return tuple(int(layer) for layer in metadata["layers"].split(","))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} does not say which layers it holds; score again") from error


def blocks_within(layers: int, heads: int, width: int, blocks: int) -> int:
    """How many of `blocks` blocks of images wide moments get: all within 2 GiB, else as many as fit, at least 4.

    InputError where even 4 take more than 8 GiB.
    """
    size = layers * heads * width**2 * 8
    found = min(blocks, max(_FEWEST, _ROOM // size))
    if found * size > _MOST:
        raise InputError(
            f"layers: the moments of {layers} layers of {heads} heads, {width} wide, take {found * size / 2**30:.1f} "
            f"GiB, over {_MOST // 2**30}; score at most {_MOST // (found * size // layers)} layers at a time, such as "
            "--layers 20-23"
        )
    return found


@torch.inference_mode()
def observe(
    model: HookedCLIP,
    pixel_values: Float[Tensor, "image 3 height width"],
    layers: Sequence[int],
    precision: str = "no",
) -> Float[Tensor, "image layer head width"]:
    """u = z / (sigma |f|) of a batch at the CLS row: one ordinary forward, nothing else is kept.

    Of a tower that pools: a head's part of the unit embedding; of the pooling layer's heads z' / |f|, then zeros. Of
    one that is read by the mean of T tokens: sum over t of z_t / (T sigma_t |f|).
    With `precision` "bf16" or "fp16" the forward's matrix products are of 16 bits, so z and f are rounded to them;
    the residual stream, sigma, |f| and the quotient are fp32. Of a tower that pools, u itself is rounded to 16 bits.
    """
    return observe_with_embedding(model, pixel_values, layers, precision)[0]


@torch.inference_mode()
def observe_with_embedding(
    model: HookedCLIP,
    pixel_values: Float[Tensor, "image 3 height width"],
    layers: Sequence[int],
    precision: str = "no",
) -> tuple[Float[Tensor, "image layer head width"], Float[Tensor, "image embed"]]:
    """`observe`'s u, and the unit embeddings of the same forward."""
    pixel_values = pixel_values.to(model.device, model.dtype, non_blocking=True)
    if not model.visual.at_row:
        with half_precision(model.device, precision):
            return _observe_pooled(model, pixel_values, layers)
    scale_name = "visual.ln_final.hook_scale"
    z_names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
    names: dict[str, Callable[[Tensor], Tensor]] = {name: _cls_row for name in z_names} | {scale_name: _cls_scale}
    with recording(model, names) as seen, half_precision(model.device, precision):
        embedding = model(pixel_values)
    embedding = embedding.to(model.dtype)
    length = embedding.norm(dim=-1, keepdim=True)
    u = torch.stack([seen[name] for name in z_names], 1) / (seen[scale_name] * length)[:, :, None, None]
    return u, embedding / length


def _cls_row(z: Float[Tensor, "image token head width"]) -> Float[Tensor, "image head width"]:
    return z[:, 0].clone()


def _cls_scale(scale: Float[Tensor, "image *token 1"]) -> Float[Tensor, "image 1"]:
    return scale if scale.ndim == 2 else scale[:, 0]


def _observe_pooled(
    model: HookedCLIP, pixel_values: Float[Tensor, "image 3 height width"], layers: Sequence[int]
) -> tuple[Float[Tensor, "image layer head width"], Float[Tensor, "image embed"]]:
    tower = model.visual
    parts = pooled_parts(model, pixel_values, [layer for layer in layers if layer < tower.layers], heads_only=True)
    u = list(parts.heads.unbind(1))
    if parts.z is not None and tower.layers in layers:
        padded = torch.nn.functional.pad(parts.z, (0, tower.moment_width - parts.z.shape[-1]))
        u.insert(list(layers).index(tower.layers), padded)
    length = parts.embedding.norm(dim=-1, keepdim=True)
    return torch.stack(u, 1) / length[:, :, None, None], parts.embedding / length
