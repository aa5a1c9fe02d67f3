"""Tower: a stack of encoder layers whose embedding is read at one row, with its hook points and constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.families.hook_points import (
    Block,
    FinalNorm,
    LayerParts,
    connect_layer,
    copy_unhooked,
    is_hooked,
    output_hook,
    scale_hook,
)
from headroles.models.families.layer_rows import attend, run_rows, take
from headroles.models.lens import HookPoint


class Tower(nn.Module):
    """The hook points of one tower and the constants of its residual stream.

    Hook names, below `visual.` or `text.`: `blocks.{l}.hook_resid_pre`, `blocks.{l}.attn.hook_pattern`
    (image, head, token, token), `blocks.{l}.attn.hook_v` and `blocks.{l}.attn.hook_z` (image, token, head, width),
    `blocks.{l}.hook_attn_out`, `blocks.{l}.hook_mlp_out`, `blocks.{l}.hook_resid_post` (image, token, D),
    `ln_final.hook_scale` (image, ..., 1), `hook_embed` (image, ..., embed), the embedding before it is normalised.
    `hook_attn_out` and `hook_mlp_out` are what is added to the residual stream, layer scale included.
    At each of them a hook may return another tensor or change its own in place, and `retain_grad` gives the gradient.
    """

    at_row: bool = True
    """Whether the embedding is read at one row, not over all tokens (`MeanTower`, `PooledTower`)."""
    pooling: bool = False
    """Whether attention pools the embedding over tokens (`PooledTower`): its heads are those of one layer more."""
    _parts: list[LayerParts]
    _points: list[list[HookPoint]]
    _norm: nn.LayerNorm
    _projection: nn.Linear | None

    def __init__(self, parts: Sequence[LayerParts], final_norm: nn.LayerNorm, projection: nn.Linear | None) -> None:
        """`projection`: residual stream to embedding; None: the embedding is the final LayerNorm's output."""
        super().__init__()
        blocks = [Block() for _ in parts]
        self.blocks = nn.ModuleList(blocks)
        self.ln_final = FinalNorm()
        self.hook_embed = HookPoint()
        # Plain references, so that the transformers' modules keep one owner: `HookedCLIP.clip`.
        self.__dict__["_parts"] = list(parts)
        self.__dict__["_norm"] = final_norm
        self.__dict__["_projection"] = projection
        found = ((each for each in block.modules() if isinstance(each, HookPoint)) for block in blocks)
        self.__dict__["_points"] = [list(points) for points in found]
        for part, block in zip(parts, blocks, strict=True):
            connect_layer(part, block)
        final_norm.register_forward_hook(partial(scale_hook, self.ln_final.hook_scale))
        if projection is not None:
            projection.register_forward_hook(partial(output_hook, self.hook_embed))

    @property
    def layers(self) -> int:
        """Number of encoder layers."""
        return len(self._parts)

    @property
    def heads(self) -> int:
        """Heads of one layer."""
        return self._parts[0].heads

    @property
    def head_width(self) -> int:
        """Width k of a head's output before the output projection."""
        return self._parts[0].head_width

    @property
    def width(self) -> int:
        """Width D of the residual stream."""
        return self._norm.normalized_shape[0]

    @property
    def embed(self) -> int:
        """Width d of the embedding."""
        return self.width if self._projection is None else self._projection.out_features

    @property
    def moment_width(self) -> int:
        """Width of the vectors u that `headroles.heads.moments` keeps of a head, and of the rows of `bases`."""
        return self.head_width

    def readout(self) -> Float[Tensor, "residual embed"]:
        """(I - 11'/D) diag(gamma) P': takes a residual, divided by the LayerNorm's deviation, to the embedding."""
        weight = self._weight()
        return weight - weight.mean(0, keepdim=True)

    def constant(self) -> Float[Tensor, "embed"]:
        """P beta and P's own bias: the part of every embedding that is the same for all inputs."""
        if self._projection is None:
            return self._norm.bias
        written = self._projection.weight @ self._norm.bias
        return written if self._projection.bias is None else written + self._projection.bias

    def bases(self) -> Float[Tensor, "layer head width embed"]:
        """B[l, h] = W_O[l, h] @ readout: a head's output z times B, over sigma, is its part of the embedding."""
        return self._outputs() @ self.readout()

    def spread_bases(self) -> Float[Tensor, "layer head width_and_3 embed"]:
        """Bases of the wider u of `headroles.heads.constants`: rows for b_O, mean and beta behind the head's own.

        The LayerNorm's mean has a row of its own, so nothing is centred here.
        """
        weight, share = self._weight(), 1 / ((2 * self.layers + 1) * self.heads)
        biases = torch.stack([part.bias() for part in self._parts]) @ weight / self.heads
        rows = [biases, -share * weight.sum(0).expand_as(biases), share * self.constant().expand_as(biases)]
        shared = torch.stack(rows, 1)[:, None].expand(-1, self.heads, -1, -1)
        return torch.cat([self._outputs() @ weight, shared], 2)

    def spans(
        self, layers: Sequence[int]
    ) -> list[tuple[tuple[int, ...], Float[Tensor, "layer head width embed"] | None]]:
        """`layers` in order, in groups whose heads span subspaces of one width, and each group's bases.

        None for bases that are the identity.
        """
        return [(tuple(layers), self.bases()[list(layers)])]

    def circuit(self, layer: int) -> tuple[Float[Tensor, "head residual width"], Float[Tensor, "head width residual"]]:
        """What the heads of a layer read and write by their weights alone, as two factors in float64.

        The residual, divided by the first LayerNorm's deviation, times the first is a head's values without their
        constant part; z times the second is what it adds to the residual stream.
        """
        part = self._parts[layer]
        reading = part.reading().unflatten(-1, (self.heads, self.head_width)).transpose(0, 1)
        return reading, part.weight().double().T.unflatten(0, (self.heads, self.head_width))

    def written(self, layer: int) -> Float[Tensor, "residual embed"]:
        """`readout` in float64: takes what heads of this layer add to the residual stream to the embedding."""
        weight = self._weight().double()
        return weight - weight.mean(0, keepdim=True)

    def biases(self) -> Float[Tensor, "layer embed"]:
        """Every layer's attention output bias b_O, read out (still to be divided by sigma)."""
        return torch.stack([part.bias() for part in self._parts]) @ self.readout()

    def _weight(self) -> Float[Tensor, "residual embed"]:
        """diag(gamma) P'."""
        gamma = self._norm.weight
        return gamma.diag() if self._projection is None else gamma[:, None] * self._projection.weight.T

    def _outputs(self) -> Float[Tensor, "layer head width residual"]:
        """W_O[l, h]."""
        output = torch.stack([part.weight() for part in self._parts])
        return output.unflatten(-1, (self.heads, self.head_width)).permute(0, 2, 3, 1)

    def looks(
        self, layer: int
    ) -> tuple[Float[Tensor, "head residual_and_1 width"], Float[Tensor, "head residual width"]]:
        """Query and key factors of a layer's heads, float64: where they look, by their weights alone.

        A residual with a 1 behind it, divided by the first LayerNorm's deviation but for the 1, times the first is a
        query; a residual so divided, times the second, a key without its constant part.
        """
        query, key = self._parts[layer].looking()
        shape = (self.heads, self.head_width)
        return query.unflatten(-1, shape).transpose(0, 1), key.unflatten(-1, shape).transpose(0, 1)

    def output(self, layer: int) -> nn.Linear:
        """The module that holds W_O and b_O of a layer's heads, without layer scale; of pooling heads too."""
        return self._parts[layer].output

    def projections(self, layer: int) -> dict[str, nn.Linear]:
        """The modules "q", "k", "v" and "o" of a layer's attention: head after head in rows, of "o" in columns."""
        part = self._parts[layer]
        inner = {"q": part.attention.q_proj, "k": part.attention.k_proj, "v": part.attention.v_proj}
        return {**inner, "o": self.output(layer)}

    def upper_modules(self, first: int) -> list[nn.Module]:
        """The encoder layers from `first` on, and what reads the embedding after them."""
        layers = [part.layer for part in self._parts[first:]]
        return [*layers, self._norm, *([] if self._projection is None else [self._projection])]

    def compile_mlps(self, **options: Any) -> None:
        """Compile every layer's MLP with torch.compile (and its `options`), in place.

        Nothing within an MLP can be hooked, so every hook point keeps what it shows. The attention is left as it is:
        its hooks come and go, and each change would compile it anew.
        """
        for part in self._parts:
            part.mlp.forward = torch.compile(part.mlp.forward, **options)

    def run(
        self,
        residual: Float[Tensor, "image token width"],
        layers: Iterable[int],
        mask: Float[Tensor, "... head query key"] | None = None,
    ) -> Float[Tensor, "image token width"]:
        """The residual stream after `layers`; `mask` (0 or -inf) is added to every score of these layers' heads.

        Any number of tokens may flow; hook points act as in `HookedCLIP.forward`.
        """
        if mask is not None:
            mask = mask.to(residual.dtype)
            mask = mask[(None,) * (4 - mask.ndim)]
        for layer in layers:
            part = self._parts[layer]
            residual = part.layer(residual, attention_mask=mask, **part.arguments(residual.shape[1]))
        return residual

    def run_pieces(
        self,
        pieces: Sequence[Float[Tensor, "image _ width"]],
        layer: int,
        mask: Float[Tensor, "... query key"] | None = None,
    ) -> Float[Tensor, "image token width"]:
        """`run` of one layer over pieces of the residual stream, in order, equal to rounding.

        What needs no gradient is asked for none, so that it costs less than joined pieces.
        """
        part = self._parts[layer]
        if part.rotary or self.is_hooked(layer):
            return self.run(torch.cat(list(pieces), 1), [layer], mask)
        if mask is not None:
            mask = mask[(None,) * (4 - mask.ndim)]
        return run_rows(part, pieces, None, partial(attend, mask=mask, scale=part.scale))

    def run_rows(
        self,
        residual: Float[Tensor, "image token width"],
        layer: int,
        rows: Int[Tensor, "row"] | Int[Tensor, "image row"],
        mask: Float[Tensor, "... query key"] | None = None,
    ) -> Float[Tensor, "image row width"]:
        """`run` of one layer at some rows alone, equal to rounding: all else than keys and values is theirs only.

        `rows` are positions, the same for all images or each image's own; the latter take a mask without heads. Where
        a hook point of the layer is hooked, it sees all tokens, as ever.
        """
        if self.is_hooked(layer):
            return take(self.run(residual, [layer], mask), rows)
        part, tokens = self._parts[layer], residual.shape[1]
        if mask is not None:
            mask = mask[rows][:, None] if rows.ndim == 2 else mask[..., rows, :]

        def look(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            if part.rotary:
                query = part.rotary.turn(query.transpose(1, 2), tokens, rows).transpose(1, 2)
                key = part.rotary.turn(key.transpose(1, 2), tokens).transpose(1, 2)
            return attend(query, key, value, mask, part.scale)

        return run_rows(part, [residual], rows, look)

    def run_alike(
        self,
        pieces: Sequence[Float[Tensor, "group _ width"]],
        layer: int,
        texts: AlikeTexts,
        mask: Float[Tensor, "query key"],
        ends: bool = False,
    ) -> Float[Tensor, "group row width"]:
        """`run` of one layer over texts, each row once, equal to rounding; with `ends` at the texts' ends alone.

        `mask` has to be causal. Hook points do not see it (`is_hooked`).
        """
        part, rows = self._parts[layer], texts.ends if ends else None
        look = partial(texts.read_ends if ends else texts.read, mask=mask, scale=part.scale)
        return run_rows(part, pieces, rows, look)

    def is_hooked(self, *layers: int) -> bool:
        """Whether anybody looks at, or edits, what flows through one of the layers."""
        return any(is_hooked(point) for layer in layers for point in self._points[layer])

    def normed(
        self, residual: Float[Tensor, "... width"], layer: int | None = None
    ) -> Float[Tensor, "... width"]:
        """What a layer's MLP reads of the residual stream behind its attention; None: the final LayerNorm's output.

        Hook points are passed by.
        """
        norm = self._norm if layer is None else self._parts[layer].norms[1]
        return nn.functional.layer_norm(residual, norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def read(self, rows: Float[Tensor, "... width"]) -> Float[Tensor, "... embed"]:
        """Final LayerNorm and projection: the embedding, not normalised, of rows of the last residual stream."""
        return self.finish(self._norm(rows))

    def finish(self, normed: Float[Tensor, "... width"]) -> Float[Tensor, "... embed"]:
        """What `read` makes of the final LayerNorm's output."""
        return self.hook_embed(normed) if self._projection is None else self._projection(normed)

    def copy_readout(self) -> nn.Sequential:
        """A copy of `read`'s LayerNorm and projection with parameters of its own, and without hook points."""
        return copy_unhooked(self._norm, self._projection or nn.Identity())
