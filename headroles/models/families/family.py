"""Family: all that `HookedCLIP` and `load` need to know of one family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from headroles.errors import InputError
from headroles.models.families.tower import Tower


class Family:
    """Wraps one transformers' model; a subclass a family, in a file of its own.

    A family without a text tower leaves `text` None and the methods on texts as they are: `HookedCLIP` asks none.
    """

    title: ClassVar[str]
    """The family's name in messages."""
    any_size: ClassVar[bool] = False
    """Whether position embeddings are interpolated to the images that come."""
    reads_at_end: ClassVar[bool] = False
    """Whether a text's embedding is read at the token that ends it."""
    own_pictures: ClassVar[bool] = True
    """Whether a checkpoint's own preprocessing makes pictures of one size; False: its numbers alone are taken."""
    visual: Tower
    """The vision tower."""
    text: Tower | None = None
    """The text tower."""

    model: Any
    """The wrapped PreTrainedModel; what its modules are called, the family knows and no type says."""

    def __init__(self, model: PreTrainedModel, readout: Any = None) -> None:
        """`readout`: what takes the place of what the model has none of, a projection or a pooling head, behind the
        final LayerNorm (`headroles.models.families.joined`)."""
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
    def reads_largest(self) -> bool:
        """Whether texts are read at their largest token, whatever ends them."""
        return False

    @property
    def vision(self) -> Any:
        """The vision tower's module, without projection."""
        return getattr(self.model, "vision_model", self.model)

    @property
    def vision_config(self) -> PretrainedConfig:
        """The config of the vision tower."""
        return getattr(self.model.config, "vision_config", self.model.config)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images that the position embeddings are made for, in pixels."""
        return sides_of(self.vision_config.image_size)

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Height and width of a patch, in pixels."""
        return sides_of(self.vision_config.patch_size)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of an image of this size, in pixels."""
        down, across = self.patch_shape
        return height // down, width // across

    def check_size(self, height: int, width: int, source: str) -> None:
        """InputError where images of this size cannot flow; `source` makes them."""
        down, across = self.image_shape
        if self.any_size:
            down, across = max(height, self.patch_shape[0]), max(width, self.patch_shape[1])
        if (height, width) != (down, across):
            raise InputError(
                f"model: {source} makes pictures of {height} x {width} pixels, the vision tower takes {down} x "
                f"{across}; set its size and crop_size to that, or take the model's own file"
            )

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

    def final_tokens(
        self, pixel_values: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image width"] | Float[Tensor, "image token width"]:
        """What the final LayerNorm makes of the row, or the tokens, that `visual` is read at."""
        raise NotImplementedError

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before layer 0."""
        raise NotImplementedError

    def start_vectors(self, vectors: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """What `start_images` makes of vectors in the place of embedded patches, positions left out."""
        return vectors

    def encode_texts(
        self, input_ids: Int[Tensor, "text token"], attention_mask: Int[Tensor, "text token"] | None
    ) -> Float[Tensor, "text embed"]:
        """Embeddings, not normalised, as transformers' models of both towers give them."""
        return self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output

    def start_texts(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The residual stream before layer 0."""
        return self.model.text_model.embeddings(input_ids=input_ids)

    def tower_weights(self, text: bool) -> tuple[str, ...]:
        """Names of the weights of the text tower, or of the vision tower, its projection among them."""
        names = (name for name, _ in self.model.named_parameters() if not name.startswith("logit_"))
        return tuple(name for name in names if name.startswith("text_") == text)

    def embed_tokens(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The embeddings of tokens, without those of their positions."""
        return self.model.text_model.embeddings.token_embedding(input_ids)

    def start_embedded(self, embedded: Float[Tensor, "text token width"]) -> Float[Tensor, "text token width"]:
        """`start_texts` of what `embed_tokens` gives, or of vectors in its place."""
        return self.model.text_model.embeddings(inputs_embeds=embedded)

    def text_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """0 where a text token may look, -inf elsewhere."""
        raise NotImplementedError

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The position that a text's embedding is read at."""
        raise NotImplementedError

    def tokenize(self, tokenizer: Callable, texts: Sequence[str]) -> dict[str, Tensor]:
        """What `encode_texts` takes; long texts are cut to the context."""
        raise NotImplementedError

    def clean(self, tokenizer: Callable, text: str) -> str:
        """The text as the tokenizer is given it."""
        return text

    def find_cut(self, tokenizer: Callable, texts: Sequence[str]) -> list[str]:
        """Those of the texts that `tokenize` cuts."""
        # A token is a byte at the least, but for what marks a text's start and end.
        long = [text for text in texts if len(text.encode()) + 3 > self.context]
        if not long:
            return []
        given = [self.clean(tokenizer, text) for text in long]
        tokens = tokenizer(given, truncation=True, max_length=self.context + 1)["input_ids"]
        return [text for text, row in zip(long, tokens, strict=True) if len(row) > self.context]


def sides_of(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width that a config gives as one number or as two."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
