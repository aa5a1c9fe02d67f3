"""SigLIP, and SigLIP 2 at a fixed resolution: no CLS, attention pooling; texts padded, unmasked, read at the end."""

from __future__ import annotations

import html
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PretrainedConfig, SiglipModel, SiglipTokenizer, SiglipVisionModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from headroles.errors import InputError
from headroles.models.families.clip import encoder_parts
from headroles.models.families.family import Family, sides_of
from headroles.models.families.pooled_tower import PooledTower
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

    def __init__(self, model: SiglipModel | SiglipVisionModel) -> None:
        super().__init__(model)
        self._vision: Any = model.vision_model if isinstance(model, SiglipModel) else model
        vision = self._vision
        self.visual = PooledTower(encoder_parts(vision.encoder.layers), vision.post_layernorm, vision.head)
        if isinstance(model, SiglipModel):
            text = self.model.text_model
            self.text = Tower(encoder_parts(text.encoder.layers), text.final_layer_norm, text.head)

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        if not getattr(config, "vision_config", config).vision_use_head:
            raise InputError(f"model: {name} is a SigLIP without a pooling head, so it has no image embedding")
        return (SiglipModel if config.model_type == "siglip" else SiglipVisionModel), {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(getattr(config, "vision_config", config).image_size)
        return SiglipImageProcessorPil, {"size": {"height": height, "width": width}}

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        return self._vision(pixel_values=pixel_values).pooler_output

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._vision.embeddings(pixel_values)

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
        # SigLIP's own tokenizer takes punctuation off itself, in a slightly other way.
        clean = str.lower if isinstance(tokenizer, SiglipTokenizer) else clean_text
        tokens = tokenizer(
            [clean(text) for text in texts],
            padding="max_length",
            padding_side="right",
            truncation=True,
            max_length=self.context,
            return_tensors="pt",
        )
        return {"input_ids": tokens["input_ids"].to(self.model.device)}


def clean_text(text: str) -> str:
    """Lower case, without punctuation, single spaces: what OpenCLIP's configs of SigLIP 2 call "canonicalize".

    Of what ftfy does there, composed letters and straight quotes are done here; wrongly decoded text is not mended.
    """
    plain = unicodedata.normalize("NFC", html.unescape(html.unescape(text))).replace("_", " ").translate(_PUNCTUATION)
    return " ".join(plain.lower().split())
