"""Family: all that `HookedCLIP` and `load` need to know of one family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from headroles.models.families.tower import Tower


class Family:
    """Wraps one transformers' model; a subclass a family, in a file of its own.

    A family without a text tower leaves `text` None and the methods on texts as they are: `HookedCLIP` asks none.
    """

    title: ClassVar[str]
    """The family's name in messages."""
    visual: Tower
    """The vision tower."""
    text: Tower | None = None
    """The text tower."""

    model: Any
    """The wrapped PreTrainedModel; what its modules are called, the family knows and no type says."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @classmethod
    def loader(cls, config: PretrainedConfig, name: str) -> tuple[type[PreTrainedModel], Mapping[str, Any]]:
        """The transformers' class of a checkpoint with this config, and options of its `from_pretrained`.

        InputError, which names the model `name`, where it has no embedding.
        """
        raise NotImplementedError

    @classmethod
    def processor(cls, config: PretrainedConfig) -> tuple[type, Mapping[str, Any]]:
        """The image processor's class, and its settings where a checkpoint has no preprocessing of its own."""
        raise NotImplementedError

    @property
    def image_size(self) -> int:
        """Height and width of an input image, in pixels."""
        raise NotImplementedError

    @property
    def patches(self) -> int:
        """Patch tokens of an image of that size."""
        raise NotImplementedError

    @property
    def least_tokens(self) -> int:
        """Tokens that a run of the vision tower over images has at least."""
        return 1

    @property
    def context(self) -> int:
        """Tokens of the longest text."""
        return self.model.config.text_config.max_position_embeddings

    def encode_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """Embeddings, not normalised."""
        raise NotImplementedError

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before layer 0."""
        raise NotImplementedError

    def encode_texts(
        self, input_ids: Int[Tensor, "text token"], attention_mask: Int[Tensor, "text token"] | None
    ) -> Float[Tensor, "text embed"]:
        """Embeddings, not normalised, as transformers' models of both towers give them."""
        return self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output

    def start_texts(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The residual stream before layer 0."""
        return self.model.text_model.embeddings(input_ids=input_ids)

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """0 where a text token may look, -inf elsewhere."""
        raise NotImplementedError

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The position that a text's embedding is read at."""
        raise NotImplementedError

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        """What `encode_texts` takes; long texts are cut to the context."""
        raise NotImplementedError


def side_of(size: int | Sequence[int]) -> int:
    """One side of a square that a config gives as a number or as two."""
    return size if isinstance(size, int) else int(size[0])
