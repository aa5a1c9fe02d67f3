"""CLIP: CLS token, pre-LayerNorm, projections without bias, a causal text tower read at the end of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPModel, CLIPVisionModel, CLIPVisionModelWithProjection, PretrainedConfig, PreTrainedModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headroles.models.families.family import Family, sides_of
from headroles.models.families.hook_points import LayerParts
from headroles.models.families.tower import Tower

LARGEST_ID = 2
"""The eos_token_id of older configs: there texts are read at their largest token, whatever ends them."""


class Clip(Family):
    """CLIPModel, or its vision tower alone: CLIPVisionModelWithProjection, or CLIPVisionModel, without projection."""

    title = "CLIP"
    reads_at_end = True
    kinds: ClassVar[tuple[type[PreTrainedModel], ...]] = (CLIPModel, CLIPVisionModelWithProjection, CLIPVisionModel)
    """Both towers; vision with its projection; vision alone."""

    def __init__(self, model: PreTrainedModel, readout: Any = None) -> None:
        super().__init__(model)
        vision = self._vision = getattr(self.model, "vision_model", self.model)
        projection = getattr(self.model, "visual_projection", readout)
        self.visual = Tower(encoder_parts(vision.encoder.layers), vision.post_layernorm, projection)
        if isinstance(model, self.kinds[0]):
            text = self.model.text_model
            self.text = Tower(encoder_parts(text.encoder.layers), text.final_layer_norm, self.model.text_projection)

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        both, projected, bare = cls.kinds
        if not config.model_type.endswith("_vision_model"):
            return both, {}
        return (bare if bare.__name__ in (config.architectures or ()) else projected), {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        side, _ = sides_of(getattr(config, "vision_config", config).image_size)
        return CLIPImageProcessorPil, {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}

    @property
    def least_tokens(self) -> int:
        """CLS and all patches: runs of fewer tokens are of those alone that `headroles.adapt` appends."""
        return 1 + math.prod(self.grid(*self.image_shape))

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        if self._vision is self.model:
            return self.visual.finish(self.final_tokens(pixel_values))
        if self.text is None:
            return self.model(pixel_values=pixel_values).image_embeds
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output

    def final_tokens(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image width"]:
        return self._vision(pixel_values=pixel_values).pooler_output

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        vision = self._vision
        return vision.pre_layrnorm(vision.embeddings(pixel_values))

    def start_vectors(self, vectors: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        return self._vision.pre_layrnorm(vectors)

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """Causal: a token may look at itself and earlier ones."""
        mask = torch.full((tokens, tokens), -torch.inf, dtype=self.model.dtype, device=self.model.device)
        return mask.triu(1)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The first EOS (the largest id where EOS is `LARGEST_ID`)."""
        marks = input_ids if self.reads_largest else (input_ids == self.model.config.text_config.eos_token_id)
        return marks.int().argmax(-1)

    @property
    def reads_largest(self) -> bool:
        return self.model.config.text_config.eos_token_id == LARGEST_ID

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        """Padded on the right, so that texts end where they alone would; what follows the end, no token sees."""
        cut: dict[str, Any] = {"truncation": True, "max_length": self.context}
        if getattr(tokenizer, "pad_token_id", 0) is None:
            tokens = _pad(tokenizer(list(texts), **cut)["input_ids"], getattr(tokenizer, "eos_token_id", None) or 0)
        else:
            tokens = tokenizer(list(texts), padding=True, padding_side="right", return_tensors="pt", **cut)
        return {key: tokens[key].to(self.model.device) for key in ("input_ids", "attention_mask")}


def _pad(texts: Sequence[Sequence[int]], end: int) -> dict[str, Tensor]:
    """What a tokenizer without a padding token leaves to do, with its end of text, as CLIP's own does."""
    longest = max(map(len, texts))
    ids = torch.tensor([[*tokens, *[end] * (longest - len(tokens))] for tokens in texts])
    lengths = torch.tensor([len(tokens) for tokens in texts])
    return {"input_ids": ids, "attention_mask": (torch.arange(longest) < lengths[:, None]).long()}


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
