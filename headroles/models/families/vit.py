"""ViT, DINOv2 and DINOv3: vision alone; the embedding is the final LayerNorm's output at CLS.

A ViT's own pooler, a tanh layer on that, is not used: its output is no sum of parts. DINO scales what attention and
MLP add by a vector (layer scale), which belongs to the heads' output projections and biases. DINOv3 turns queries and
keys by the patches' places (`headroles.models.families.rotary`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    Dinov2Model,
    Dinov2WithRegistersModel,
    DINOv3ViTModel,
    PretrainedConfig,
    PreTrainedModel,
    ViTModel,
)
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from headroles.errors import InputError
from headroles.models.families.family import Family, sides_of
from headroles.models.families.hook_points import LayerParts
from headroles.models.families.rotary import Rotary, Tables
from headroles.models.families.tower import Tower


class _ClsFamily(Family):
    """A vision transformer without projection."""

    def __init__(self, model: PreTrainedModel, readout: Any = None) -> None:
        super().__init__(model)
        self.visual = Tower([self._parts(layer) for layer in self._layers()], self._norm(), readout)

    def _norm(self) -> nn.LayerNorm:
        return self.model.layernorm

    def _layers(self) -> nn.ModuleList:
        raise NotImplementedError

    def _parts(self, layer: Any) -> LayerParts:
        raise NotImplementedError

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        return self.visual.finish(self.final_tokens(pixel_values))

    def final_tokens(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image width"]:
        return self.model(pixel_values=pixel_values).last_hidden_state[:, 0]

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self.model.embeddings(pixel_values)


class Vit(_ClsFamily):
    """ViTModel, also from a classifier's checkpoint."""

    title = "ViT"

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        return ViTModel, {"add_pooling_layer": False}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(config.image_size)
        return ViTImageProcessorPil, {"size": {"height": height, "width": width}}

    def _layers(self) -> nn.ModuleList:
        return self.model.layers

    def _parts(self, layer: Any) -> LayerParts:
        attention = layer.attention
        norms = (layer.layernorm_before, layer.layernorm_after)
        return LayerParts(
            layer, attention, attention.o_proj, layer.mlp, norms, attention.num_attention_heads, attention.scaling
        )


class Dinov2(_ClsFamily):
    """Dinov2Model and Dinov2WithRegistersModel: CLS, then registers if any, then patches."""

    title = "DINOv2"
    any_size = True

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        return (Dinov2Model if config.model_type == "dinov2" else Dinov2WithRegistersModel), {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(config.image_size)
        colors = {"image_mean": IMAGENET_DEFAULT_MEAN, "image_std": IMAGENET_DEFAULT_STD}
        crop = {"height": height, "width": width}
        return BitImageProcessorPil, {"size": {"shortest_edge": max(crop.values())}, "crop_size": crop, **colors}

    def check_size(self, height: int, width: int, source: str) -> None:
        """Also InputError for position embeddings that are no square: transformers interpolates them as one."""
        rows, columns = self.grid(*self.image_shape)
        if rows != columns:
            raise InputError(
                f"model: {self.model.name_or_path or source} has position embeddings of {rows} x {columns} patches, "
                "which transformers' DINOv2 reads as a square; take a model with a square image_size"
            )
        super().check_size(height, width, source)

    def _layers(self) -> nn.ModuleList:
        return self.model.encoder.layer

    def _parts(self, layer: Any) -> LayerParts:
        return _dino_parts(layer, layer.attention.num_attention_heads)


class Dinov3(_ClsFamily):
    """DINOv3ViTModel: CLS, then registers, then patches, with rotary positions."""

    title = "DINOv3"
    any_size = True
    own_pictures = False

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        return DINOv3ViTModel, {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(config.image_size)
        colors = {"image_mean": IMAGENET_DEFAULT_MEAN, "image_std": IMAGENET_DEFAULT_STD}
        return ViTImageProcessorPil, {"size": {"height": height, "width": width}, **colors}

    def check_size(self, height: int, width: int, source: str) -> None:
        """InputError for patches that are neither those of the config nor a square: their places are not told."""
        grid, (down, across) = self.grid(height, width), self.patch_shape
        if height % down or width % across or (grid != self.grid(*self.image_shape) and grid[0] != grid[1]):
            raise InputError(
                f"model: {source} makes pictures of {height} x {width} pixels; expected {self.image_shape[0]} x "
                f"{self.image_shape[1]}, or squares of whole patches of {down} x {across}"
            )

    def _norm(self) -> nn.LayerNorm:
        return self.model.norm

    def _layers(self) -> nn.ModuleList:
        return self.model.model.layer

    def _parts(self, layer: Any) -> LayerParts:
        return _dino_parts(layer, layer.attention.num_heads, Rotary(self._tables))

    def _tables(self, tokens: int) -> Tables:
        """As transformers makes them for pictures of so many tokens; a square unless it is the config's grid."""
        patches, (rows, columns) = tokens - 1 - self.model.config.num_register_tokens, self.grid(*self.image_shape)
        if patches != rows * columns:
            rows = columns = math.isqrt(patches)
        down, across = self.patch_shape
        picture = self.model.embeddings.patch_embeddings.weight.new_empty(1).expand(1, 3, rows * down, columns * across)
        return self.model.rope_embeddings(picture)


def _dino_parts(layer: Any, heads: int, rotary: Rotary | None = None) -> LayerParts:
    attention, gains = layer.attention, (layer.layer_scale1, layer.layer_scale2)
    norms, output = (layer.norm1, layer.norm2), attention.o_proj
    return LayerParts(layer, attention, output, layer.mlp, norms, heads, attention.scaling, gains, rotary)
