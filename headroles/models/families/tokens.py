"""Towers without CLS and head inside larger models: Idefics2, Idefics3, SmolVLM; the embedding is the tokens' mean.

They come from SigLIPs whose pooling head was left behind. Given that head, they are read through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

from headroles.models.families.clip import encoder_parts
from headroles.models.families.family import Family, sides_of
from headroles.models.families.hook_points import LayerParts
from headroles.models.families.mean_tower import MeanTower
from headroles.models.families.pooled_tower import PooledTower
from headroles.models.families.tower import Tower

_KINDS: dict[str, type[PreTrainedModel]] = {
    "idefics2_vision": Idefics2VisionTransformer,
    "idefics3_vision": Idefics3VisionTransformer,
    "smolvlm_vision": SmolVLMVisionTransformer,
}


def read_tokens(parts: Sequence[LayerParts], final_norm: nn.LayerNorm, readout: Any) -> Tower:
    """A tower over all tokens: through a pooling head, or by their mean, which a linear `readout` may project."""
    if hasattr(readout, "attention"):
        return PooledTower(parts, final_norm, readout)
    return MeanTower(parts, final_norm, readout)


class Tokens(Family):
    """A vision transformer that hands all its tokens on, at the one size that its positions are made for."""

    title = "vision transformer without CLS"
    own_pictures = False

    def __init__(self, model: PreTrainedModel, readout: Any = None) -> None:
        super().__init__(model)
        self.visual = read_tokens(encoder_parts(self.model.encoder.layers), self.model.post_layernorm, readout)

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type, Mapping[str, Any]]:
        return _KINDS[config.model_type], {}

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        height, width = sides_of(config.image_size)
        return SiglipImageProcessorPil, {"size": {"height": height, "width": width}}

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        return self.visual.finish(self.final_tokens(pixel_values))

    def final_tokens(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self.model(pixel_values=pixel_values).last_hidden_state

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        mask = pixel_values.new_ones(len(pixel_values), *self.grid(*pixel_values.shape[-2:])).bool()
        return self.model.embeddings(pixel_values=pixel_values, patch_attention_mask=mask)
