"""SigLIP, and SigLIP 2: no CLS, attention pooling; texts padded, unmasked, read at the end.

SigLIP 2 NaFlex takes patches of pictures of any shape; here all pictures have the one grid that its positions are
made for. A vision tower whose pooling head was left behind (Gemma 3, PaliGemma) is read by the mean of its tokens.
"""

from __future__ import annotations

import html
import math
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    Siglip2Model,
    Siglip2VisionModel,
    SiglipModel,
    SiglipTokenizer,
    SiglipVisionModel,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from headroles.errors import InputError
from headroles.models.families.clip import encoder_parts
from headroles.models.families.family import Family, sides_of
from headroles.models.families.tokens import read_tokens
from headroles.models.families.tower import Tower

_CURLY = "\u02bc\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
"""Quotes that OpenCLIP makes straight, by ftfy, before it takes punctuation off."""
_PUNCTUATION = str.maketrans("", "", string.punctuation + _CURLY)


class Siglip(Family):
    """SiglipModel, or SiglipVisionModel, which has no text tower.

    Its logits are logit_scale * cosine + logit_bias under a sigmoid; bias and sigmoid change no rank of texts or
    images, so all that goes by cosines here goes by its ranks.
    """

    title = "SigLIP"
    kinds: ClassVar[tuple[type[PreTrainedModel], type[PreTrainedModel]]] = (SiglipModel, SiglipVisionModel)
    """Both towers; vision alone."""

    def __init__(self, model: PreTrainedModel, readout: Any = None) -> None:
        super().__init__(model)
        vision = self._vision = getattr(self.model, "vision_model", self.model)
        self._own_head = getattr(vision, "head", None) is not None
        readout = vision.head if self._own_head else readout
        self.visual = read_tokens(encoder_parts(vision.encoder.layers), vision.post_layernorm, readout)
        if isinstance(model, self.kinds[0]):
            text = self.model.text_model
            self.text = Tower(encoder_parts(text.encoder.layers), text.final_layer_norm, text.head)

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        both, vision = cls.kinds
        if config.model_type.endswith("_vision_model"):
            return vision, {}
        if not config.vision_config.vision_use_head:
            raise InputError(
                f"model: {name} is a {cls.title} without a pooling head, so no image embedding lies among its texts"
            )
        return both, {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(getattr(config, "vision_config", config).image_size)
        return SiglipImageProcessorPil, {"size": {"height": height, "width": width}}

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        if self._own_head:
            return self._see(pixel_values).pooler_output
        return self.visual.finish(self.final_tokens(pixel_values))

    def final_tokens(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._see(pixel_values).last_hidden_state

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._vision.embeddings(pixel_values)

    def _see(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Any:
        """What transformers' vision model returns."""
        return self._vision(pixel_values=pixel_values)

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """All zero: every token looks at all."""
        return torch.zeros(tokens, tokens, dtype=self.model.dtype, device=self.model.device)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The last token, mostly padding."""
        return torch.full((len(input_ids),), input_ids.shape[1] - 1, device=input_ids.device)

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        """Cleaned, padded on the right to the whole context, and no mask: so SigLIP was trained.

        Tokenizers of SigLIP 2 do not all clean, nor do all pad on the right.
        """
        tokens = tokenizer(
            [self.clean(tokenizer, text) for text in texts],
            padding="max_length",
            padding_side="right",
            truncation=True,
            max_length=self.context,
            return_tensors="pt",
        )
        return {"input_ids": tokens["input_ids"].to(self.model.device)}

    def clean(self, tokenizer: Callable, text: str) -> str:
        # SigLIP's own tokenizer takes punctuation off itself, in a slightly other way.
        return text.lower() if isinstance(tokenizer, SiglipTokenizer) else clean_text(text)


class Naflex(Siglip):
    """Siglip2Model or Siglip2VisionModel, at the one square grid that its positions are made for."""

    title = "SigLIP 2 NaFlex"
    kinds = (Siglip2Model, Siglip2VisionModel)
    own_pictures = False

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = _naflex_shape(getattr(config, "vision_config", config))
        return SiglipImageProcessorPil, {"size": {"height": height, "width": width}}

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the pictures whose patches fill the grid of positions, in pixels."""
        return _naflex_shape(self.vision_config)

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._vision.embeddings(*self._cut(pixel_values))

    def _see(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Any:
        patches, shapes = self._cut(pixel_values)
        there = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        return self._vision(pixel_values=patches, spatial_shapes=shapes, pixel_attention_mask=there)

    def _cut(
        self, pixel_values: Float[Tensor, "image 3 height width"]
    ) -> tuple[Float[Tensor, "image token pixel"], Int[Tensor, "image 2"]]:
        """Patches as transformers' processor cuts them, and the grids that they fill."""
        (rows, columns), (down, across) = self.grid(*pixel_values.shape[-2:]), self.patch_shape
        tiles = pixel_values.unflatten(-2, (rows, down)).unflatten(-1, (columns, across))
        patches = tiles.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        shapes = torch.tensor([[rows, columns]], device=pixel_values.device).expand(len(pixel_values), -1)
        return patches, shapes


def _naflex_shape(config: Any) -> tuple[int, int]:
    side = math.isqrt(config.num_patches)
    down, across = sides_of(config.patch_size)
    return side * down, side * across


def clean_text(text: str) -> str:
    """Lower case, without punctuation, single spaces: what OpenCLIP's configs of SigLIP 2 call "canonicalize".

    Of what ftfy does there, composed letters and straight quotes are done here; wrongly decoded text is not mended.
    """
    plain = unicodedata.normalize("NFC", html.unescape(html.unescape(text))).replace("_", " ").translate(_PUNCTUATION)
    return " ".join(plain.lower().split())
