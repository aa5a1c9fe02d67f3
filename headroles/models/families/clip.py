"""CLIP: CLS token, pre-LayerNorm, projections without bias, a causal text tower read at the end of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPModel, CLIPVisionModelWithProjection, PretrainedConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headroles.models.families.family import Family
from headroles.models.families.hook_points import LayerParts
from headroles.models.families.tower import Tower


class Clip(Family):
    """CLIPModel, or CLIPVisionModelWithProjection, which has no text tower."""

    title = "CLIP"

    def __init__(self, model: CLIPModel | CLIPVisionModelWithProjection) -> None:
        super().__init__(model)
        vision = self.model.vision_model
        self.visual = Tower(encoder_parts(vision.encoder.layers), vision.post_layernorm, self.model.visual_projection)
        if isinstance(model, CLIPModel):
            text = self.model.text_model
            self.text = Tower(encoder_parts(text.encoder.layers), text.final_layer_norm, self.model.text_projection)

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        return (CLIPModel if config.model_type == "clip" else CLIPVisionModelWithProjection), {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        side = getattr(config, "vision_config", config).image_size
        return CLIPImageProcessorPil, {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}

    @property
    def image_size(self) -> int:
        return getattr(self.model.config, "vision_config", self.model.config).image_size

    @property
    def patches(self) -> int:
        return self.model.vision_model.embeddings.num_patches

    @property
    def least_tokens(self) -> int:
        """CLS and all patches: runs of fewer tokens are of those alone that `headroles.adapt` appends."""
        return 1 + self.patches

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        if self.text is None:
            return self.model(pixel_values=pixel_values).image_embeds
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        vision = self.model.vision_model
        return vision.pre_layrnorm(vision.embeddings(pixel_values))

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """Causal: a token may look at itself and earlier ones."""
        mask = torch.full((tokens, tokens), -torch.inf, dtype=self.model.dtype, device=self.model.device)
        return mask.triu(1)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The first EOS (the largest id where EOS is 2)."""
        end = self.model.config.text_config.eos_token_id
        marks = input_ids if end == 2 else (input_ids == end)
        return marks.int().argmax(-1)

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=self.context, return_tensors="pt")
        return {key: tokens[key].to(self.model.device) for key in ("input_ids", "attention_mask")}


def encoder_parts(layers: Iterable[Any]) -> list[LayerParts]:
    """The parts of layers as CLIP and SigLIP name them."""
    return [
        LayerParts(
            layer=layer,
            attention=layer.self_attn,
            output=layer.self_attn.out_proj,
            mlp=layer.mlp,
            norms=(layer.layer_norm1, layer.layer_norm2),
            heads=layer.self_attn.num_heads,
            scale=layer.self_attn.scale,
        )
        for layer in layers
    ]
