"""ValueMoments: all that labelled images say about each head, as sums that stream, merge and resample exactly.

How much of a head's variance a concept explains needs no activation either: the scatter between a concept's values
follows from the sum of the head's outputs for every value, the whole scatter from a sum of squares. Outputs are held in
an orthonormal basis of the head's span (with B' = Q R of its basis B, v = R u has the length of the contribution u B),
so squared lengths here are squared lengths in the unit embedding. Sums are float64.

Whether that much is more than chance takes outputs themselves: a bounded sample of images keeps them, in float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.errors import InputError
from headroles.files.json_files import dump_json, parse_json
from headroles.files.plain import Unfit, from_plain
from headroles.files.tensors import read_tensors, write_hashed, write_tensors
from headroles.heads.moments import UNKNOWN, read_layers
from headroles.heads.output_sample import sample_size
from headroles.models.hooked_clip import HookedCLIP

FORMAT = "headroles.value_moments.2"
_SUMS = ("count", "first", "pairs", "value_first", "square", "second", "sample", "sample_codes")
_LARGEST = 16 * 2**30
"""Bytes of sums beyond which nothing is begun."""

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""(concept, its values), in the order of the labels."""


@dataclass
class ValueMoments:
    """Sums over labelled images, for every head of `layers`, in disjoint blocks of images.

    The `value` axis holds the values of all concepts, one concept after the other; the `concept` axis has one more
    entry at its end: all images, whatever their labels.
    """

    layers: tuple[int, ...]
    """Layers, 0-based, in the order of the sums."""
    weights_hash: str
    """Hash of the model whose heads these are."""
    concepts: Values
    """Concepts and their values."""
    count: Float[Tensor, "block"]
    """Images in every block."""
    first: Float[Tensor, "block layer head width"]
    """Sum of v."""
    pairs: Float[Tensor, "block value value"]
    """Images that have both values; on the diagonal, images that have the value."""
    value_first: Float[Tensor, "block value layer head width"]
    """Sum of v over the images that have the value."""
    square: Float[Tensor, "block concept layer head"]
    """Sum of |v|^2 over the images that are labelled with the concept."""
    second: Float[Tensor, "layer head width width"]
    """Sum of v v' over all images, all blocks together: which directions a head uses."""
    sample: Float[Tensor, "row layer head width"]
    """v of the images of a sample (`headroles.heads.output_sample`), float32; zeros for those not read yet."""
    sample_codes: Int[Tensor, "row concept"]
    """Their values as indices among a concept's, 2 added: 1 for none, 0 in rows that are not filled yet."""
    blocks_by: str = "contiguous"
    """How images were put into blocks: see `headroles.images.blocks.Blocks`."""

    @classmethod
    def empty(
        cls,
        model: HookedCLIP,
        layers: Sequence[int],
        concepts: Values,
        blocks: int = 32,
        images: int = 0,
        blocks_by: str = "contiguous",
    ) -> ValueMoments:
        """No image yet, of `images` that are to come. InputError where the sums would not fit into 16 GiB."""
        heads, width = model.visual.heads, min(model.visual.moment_width, model.visual.embed)
        values, kinds = sum(len(names) for _, names in concepts), len(concepts) + 1
        rows = sample_size(images, len(layers) * heads * width)
        shapes = sum_shapes(blocks, values, kinds, len(layers), heads, width, rows)
        size = 8 * sum(torch.Size(shape).numel() for shape in shapes.values())
        if size > _LARGEST:
            raise InputError(
                f"images: {values} values of {len(concepts)} concepts need {size / 2**30:.0f} GiB of sums for "
                f"{len(layers)} layers; score fewer layers, or label with fewer values"
            )
        sums = {name: torch.zeros(shape, dtype=_type(name), device=model.device) for name, shape in shapes.items()}
        return cls(tuple(layers), model.weights_hash(), concepts, **sums, blocks_by=blocks_by)

    def to(self, device: torch.device) -> ValueMoments:
        """The same sums on another device."""
        sums: dict[str, Any] = {name: tensor.to(device) for name, tensor in self.sums().items()}
        return replace(self, **sums)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the sums that fit the layers, the concepts and `first`, by name."""
        blocks, heads, width = (*self.first.shape[:1], *self.first.shape[2:4], 0, 0, 0)[:3]
        values, kinds = sum(len(names) for _, names in self.concepts), len(self.concepts) + 1
        return sum_shapes(blocks, values, kinds, len(self.layers), heads, width, len(self.sample))

    @property
    def images(self) -> int:
        """How many images went in."""
        return int(self.count.sum().item())

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where each concept's values are on the value axis."""
        ends = [0]
        for _, names in self.concepts:
            ends.append(ends[-1] + len(names))
        return tuple(map(slice, ends, ends[1:]))

    def sums(self) -> dict[str, Tensor]:
        """What adds up over disjoint sets of images, by name; the tensors themselves."""
        return {name: getattr(self, name) for name in _SUMS}

    def update(
        self,
        v: Float[Tensor, "image layer head width"],
        codes: Int[Tensor, "image concept"],
        block: Int[Tensor, "image"],
        row: Int[Tensor, "image"] | None = None,
    ) -> None:
        """Fold in a batch: `codes` are indices among a concept's values, negative where there is none.

        `row`: where in the sample each image is kept, -1 for those that are not; None: none is.
        """
        v, block = v.to(self.first), block.to(self.first.device)
        codes = codes.to(self.first.device)
        starts = torch.tensor([place.start for place in self.slices], device=codes.device)
        marks = torch.zeros(len(v), self.value_first.shape[1], dtype=torch.float64, device=codes.device)
        image, concept = (codes >= 0).nonzero(as_tuple=True)
        marks[image, (codes + starts)[image, concept]] = 1
        self.count.index_add_(0, block, torch.ones_like(block, dtype=torch.float64))
        self.first.index_add_(0, block, v)
        for number in block.unique().tolist():
            own = marks[block == number]
            self.pairs[number] += own.T @ own
            self.value_first[number] += torch.tensordot(own.T, v[block == number], 1)
        labelled = torch.cat([codes >= 0, torch.ones_like(codes[:, :1], dtype=torch.bool)], 1)
        square = labelled[:, :, None, None] * (v**2).sum(-1)[:, None]
        self.square.index_add_(0, block, square)
        columns = v.permute(1, 2, 3, 0)
        self.second += columns @ columns.mT
        if row is not None:
            kept = row >= 0
            places = row[kept].to(v.device)
            self.sample[places] = v[kept.to(v.device)].to(self.sample)
            self.sample_codes[places] = (codes[kept.to(v.device)].clamp(min=-1) + 2).to(self.sample_codes)

    def merge(self, other: ValueMoments) -> ValueMoments:
        """The sums of both sets of images together; their images must be disjoint."""
        for name in ("layers", "weights_hash", "concepts", "blocks_by"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"value moments differ in {name}: {getattr(self, name)} and {getattr(other, name)}")
        for name, held, others in (("blocks", self.count, other.count), ("kept images", self.sample, other.sample)):
            if len(held) != len(others):
                raise InputError(
                    f"value moments differ in {name}: {len(held)} and {len(others)}; score both with the same number"
                )
        sums: dict[str, Any] = {name: own + getattr(other, name).to(own.device) for name, own in self.sums().items()}
        return replace(self, **sums)

    def save(self, path: str | os.PathLike, more: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file, with `more` metadata and then a hash."""
        facts = {"format": FORMAT, "weights_hash": self.weights_hash}
        facts |= {"layers": ",".join(map(str, self.layers)), "concepts": dump_json(self.concepts)}
        facts["blocks_by"] = self.blocks_by
        facts |= more or {}
        (write_hashed if more else write_tensors)(path, self.sums(), facts)

    @classmethod
    def load(cls, path: str | os.PathLike) -> ValueMoments:
        """Read what `save` wrote."""
        what = "value moments; expected a file of `headroles score --by images`"
        sums, metadata = read_tensors(path, _SUMS, FORMAT, what)
        try:
            raw = parse_json(metadata.get("concepts", ""), str(path), "value moments", "score again")
            concepts = from_plain(Values, raw, "concepts")
        except Unfit as error:
            raise InputError(f"{path} does not say what its images are labelled with ({error}); score again") from error
        layers, by = read_layers(path, metadata), metadata.get("blocks_by", UNKNOWN)
        moments = cls(layers, metadata.get("weights_hash", ""), concepts, **sums, blocks_by=by)
        if {name: tuple(tensor.shape) for name, tensor in sums.items()} != moments.shapes():
            raise InputError(f"{path} holds sums whose shapes contradict each other; score again")
        return moments


def sum_shapes(
    blocks: int, values: int, kinds: int, layers: int, heads: int, width: int, rows: int = 0
) -> dict[str, tuple[int, ...]]:
    """Shapes of the sums by name; `kinds`: concepts, and one for all images; `rows`: images of the sample."""
    outputs = (layers, heads, width)
    return {
        "count": (blocks,),
        "first": (blocks, *outputs),
        "pairs": (blocks, values, values),
        "value_first": (blocks, values, *outputs),
        "square": (blocks, kinds, *outputs[:-1]),
        "second": (*outputs, width),
        "sample": (rows, *outputs),
        "sample_codes": (rows, kinds - 1),
    }


def _type(name: str) -> torch.dtype:
    return {"sample": torch.float32, "sample_codes": torch.int32}.get(name, torch.float64)


def span_coordinates(
    model: HookedCLIP, layers: Sequence[int]
) -> Callable[[Float[Tensor, "image layer head width"]], Float[Tensor, "image layer head width"]]:
    """Takes u of `observe` to v, float64: coordinates of the contribution in its head's own span.

    v = R u with B' = Q R, so |v| is the length of the contribution u B. Where u is the contribution itself, v is u.
    """
    factors, start = [], 0
    for group, bases in model.visual.spans(layers):
        if bases is not None:
            factor = torch.linalg.qr(bases.detach().double().transpose(-1, -2)).R
            factors.append((slice(start, start + len(group)), factor))
        start += len(group)

    def coordinates(u: Float[Tensor, "image layer head width"]) -> Float[Tensor, "image layer head width"]:
        u = u.double()
        v = u.clone()
        for rows, factor in factors:
            rank, width = factor.shape[-2:]
            v[:, rows] = 0
            v[:, rows, :, :rank] = torch.einsum("lhjk,ilhk->ilhj", factor, u[:, rows, :, :width])
        return v

    return coordinates
