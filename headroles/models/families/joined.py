"""Joined: one model's vision tower, read in the embedding of a CLIP, and that CLIP's text tower.

What lies between, a projection or a pooling head, is the CLIP's own where the tower comes from it, or a learned map.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from headroles.models.families.family import Family

_VISION = ("vision_model", "visual_projection")
"""What a CLIP has for images: not needed beside another's tower."""


def without_vision(words: Family) -> Family:
    """The same family, of the same model without what it has for images; `words` itself stays whole."""
    alone = copy.copy(words)
    alone.model = copy.copy(words.model)
    alone.model._modules = {name: part for name, part in words.model._modules.items() if name not in _VISION}
    alone.__dict__.pop("_vision", None)
    alone.__dict__.pop("visual", None)
    return alone


class JoinedConfig(PretrainedConfig):
    """The two towers' configs."""

    model_type = "joined"


class JoinedModel(PreTrainedModel):
    """Both towers, and what lies between; weights are theirs, not copied."""

    config: JoinedConfig

    def __init__(self, vision: PreTrainedModel, words: PreTrainedModel, readout: nn.Module | None) -> None:
        """`words` as `without_vision` leaves it; `readout`: from `vision`'s final LayerNorm to the embedding, where
        `vision` has none."""
        config = JoinedConfig()
        config.vision_config = getattr(vision.config, "vision_config", vision.config)
        config.text_config = words.config.text_config
        super().__init__(config)
        self.vision, self.words, self.readout = vision, words, readout

    @property
    def logit_scale(self) -> Tensor:
        """The CLIP's."""
        return cast(Tensor, self.words.logit_scale)


class Joined(Family):
    """All methods are one of the two families'."""

    title = "vision tower with the texts of a CLIP"
    model: JoinedModel

    def __init__(self, model: PreTrainedModel, eyes: Family, words: Family) -> None:
        super().__init__(model)
        self._eyes, self._words = eyes, words
        self.visual, self.text = eyes.visual, words.text
        self.__dict__ |= {"any_size": eyes.any_size, "reads_at_end": words.reads_at_end}

    @property
    def reads_largest(self) -> bool:
        return self._words.reads_largest

    @property
    def vision(self) -> Any:
        """The vision tower's module, without projection."""
        return self._eyes.vision

    @property
    def vision_config(self) -> PretrainedConfig:
        return self._eyes.vision_config

    @property
    def image_shape(self) -> tuple[int, int]:
        """As the vision tower's own family."""
        return self._eyes.image_shape

    @property
    def least_tokens(self) -> int:
        """As the vision tower's own family."""
        return self._eyes.least_tokens

    @property
    def context(self) -> int:
        """As the text tower's own family."""
        return self._words.context

    def check_size(self, height: int, width: int, source: str) -> None:
        """As the vision tower's own family."""
        self._eyes.check_size(height, width, source)

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        return self._eyes.encode_images(pixel_values)

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        return self._eyes.start_images(pixel_values)

    def encode_texts(
        self, input_ids: Int[Tensor, "text token"], attention_mask: Int[Tensor, "text token"] | None
    ) -> Float[Tensor, "text embed"]:
        return self._words.encode_texts(input_ids, attention_mask)

    def start_texts(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        return self._words.start_texts(input_ids)

    def tower_weights(self, text: bool) -> tuple[str, ...]:
        """The CLIP's of its text tower; all others are the vision tower's or lie behind it."""
        own = "words." if text else ("vision.", "readout.")
        names = (name for name, _ in self.model.named_parameters() if name.startswith(own))
        return tuple(name for name in names if not name.startswith("words.logit_"))

    def embed_tokens(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        return self._words.embed_tokens(input_ids)

    def start_embedded(self, embedded: Float[Tensor, "text token width"]) -> Float[Tensor, "text token width"]:
        return self._words.start_embedded(embedded)

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        return self._words.text_mask(tokens)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        return self._words.text_rows(input_ids)

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        return self._words.tokenize(tokenizer, texts)

    def find_cut(self, tokenizer: Callable, texts: Sequence[str]) -> list[str]:
        return self._words.find_cut(tokenizer, texts)
