"""HookedCLIP: transformers' CLIP with TransformerLens hook points, in place; also SigLIP, ViT and DINOv2.

What differs between them is in `headroles.models.families`. No weight is copied.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from headroles.errors import InputError
from headroles.models.checkpoints.image_processor import shape_of
from headroles.models.families import Family, MeanTower, PooledTower, Tower, find_family
from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.finite import check_rows
from headroles.models.lens import HookedRootModule, HookPoint
from headroles.models.turns import Turns
from headroles.models.words import Words

LOG = logging.getLogger("headroles")

__all__ = ["HookedCLIP", "MeanTower", "PooledTower", "Tower", "recording"]


class HookedCLIP(HookedRootModule):
    """A CLIP whose activations can be read and edited under TransformerLens' names, on both towers.

    `run_with_cache` and `run_with_hooks` take what `forward` takes. Hooks act on whatever thread runs the model:
    while one has any, others that want some too wait, and who wants none of another's takes a turn (`turns`).
    `clip` is the wrapped model itself, by reference. It may be of another family too: a SigLIP, or a ViT or DINOv2,
    whose `text` is None and which refuse texts.
    """

    processor: Any
    """PIL image -> pixels (3, height, width); None of a model that was built without one."""
    words: Words | None
    """The CLIP that a vision tower has its texts from, where it is another model; None where they are its own."""
    projector: Mapping[str, Tensor] | None
    """Tensors that took the tokens to a language model, where the tower was taken out of a larger one."""

    def __init__(
        self, clip: PreTrainedModel, name: str, tokenizer: Callable | None = None, processor: Callable | None = None,
        family: Family | None = None,
    ) -> None:  # fmt: skip
        """`family`: the one that is built already; None: that of the config's type."""
        super().__init__()
        self.clip = clip.eval()
        self.model_name = name
        self.tokenizer = tokenizer
        self.processor = processor
        self.words: Words | None = None
        self.projector: Mapping[str, Tensor] | None = None
        self._measured: tuple[Any, tuple[int, int]] | None = None
        self._told: set[str] = set()
        self.turns = Turns()
        """A thread that works under it is alone with its hooks, and no other's act on it."""
        self.family = family or find_family(clip.config.model_type, name)(clip)
        self.visual = self.family.visual
        self.text = self.family.text
        self.setup()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.clip.dtype

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an input image, in pixels, as `processor` makes them, which can differ in DINOv2."""
        if self.processor is None:
            return self.family.image_shape
        if self._measured is None or self._measured[0] is not self.processor:
            shape = shape_of(self.processor, f"the processor of {self.model_name}")
            self._measured = (self.processor, shape)
        return self._measured[1]

    @property
    def image_size(self) -> int:
        """Height of an input image in pixels; its width too where it is square (`image_shape`)."""
        return self.image_shape[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches of an input image."""
        return self.family.grid(*self.image_shape)

    @property
    def context(self) -> int:
        """Tokens of the longest text."""
        self.check_text()
        return self.family.context

    @property
    def patches(self) -> int:
        """Patch tokens of an input image, CLS and registers not counted."""
        return math.prod(self.grid)

    @property
    def least_tokens(self) -> int:
        """Tokens that a run of the vision tower over images has at least; in CLIP, CLS and all patches."""
        return self.family.least_tokens

    @property
    def logit_scale(self) -> float:
        """The factor on cosines, exp of the learned temperature."""
        self.check_text()
        return self.clip.logit_scale.exp().item()

    def check_text(self) -> None:
        """InputError where there is no text tower."""
        if self.text is None:
            raise InputError(
                f"model: {self.model_name} has no text tower, so texts cannot describe its heads; describe them by "
                "images: headroles score --by images, or give it the texts of a CLIP: --texts-from (the one that it "
                "comes from) or --align-to (any)"
            )

    @contextmanager
    def hooks(self, *hooks: Any, **options: Any) -> Iterator[HookedCLIP]:
        """TransformerLens's, and other threads wait meanwhile: its end removes whatever hooks were added since."""
        with self.turns, super().hooks(*hooks, **options):
            yield self

    def forward(
        self,
        pixel_values: Float[Tensor, "image 3 height width"] | None = None,
        input_ids: Int[Tensor, "text token"] | None = None,
        attention_mask: Int[Tensor, "text token"] | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Embeddings, not normalised: (image, embed) for images, (text, embed) for tokens, a pair for both."""
        if input_ids is None:
            if pixel_values is None:
                raise InputError("forward needs pixel_values, input_ids or both; got neither")
            return self.family.encode_images(pixel_values)
        self.check_text()
        if pixel_values is None:
            return self.family.encode_texts(input_ids, attention_mask)
        return self.family.encode_images(pixel_values), self.family.encode_texts(input_ids, attention_mask)

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The vision tower's residual stream before layer 0: CLS (none in SigLIP), registers (DINOv2), patches.

        `visual.read(visual.run(start_images(x), range(visual.layers))[:, 0])` is `forward(x)`; a tower that is not read
        `at_row` reads all tokens, without [:, 0].
        """
        return self.family.start_images(pixel_values.to(self.device, self.dtype))

    def start_vectors(self, vectors: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """What `start_images` makes of vectors in the place of embedded patches, positions left out."""
        return self.family.start_vectors(vectors.to(self.dtype))

    def start_texts(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The text tower's residual stream before layer 0; `text.run` needs `causal_mask`, `text.read` `text_rows`."""
        self.check_text()
        return self.family.start_texts(input_ids)

    def tower_weights(self, text: bool = False) -> tuple[str, ...]:
        """Names in `clip.named_parameters()` of the vision tower, its projection included, or of the text tower."""
        return self.family.tower_weights(text)

    def embed_tokens(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The embeddings of tokens, without those of their positions."""
        self.check_text()
        return self.family.embed_tokens(input_ids)

    def start_embedded(self, embedded: Float[Tensor, "text token width"]) -> Float[Tensor, "text token width"]:
        """`start_texts` of what `embed_tokens` gives, or of vectors in its place."""
        self.check_text()
        return self.family.start_embedded(embedded)

    def causal_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """0 where a text token may look, -inf elsewhere: itself and earlier ones, in SigLIP all."""
        self.check_text()
        return self.family.text_mask(tokens)

    def describe_texts(self) -> str:
        """How texts are read, in one line: tokens at most, and the token that stands for a text; "" without texts."""
        if self.text is None:
            return ""
        end = getattr(self.tokenizer, "eos_token", None)
        at = f"their end {end} ({getattr(self.tokenizer, 'eos_token_id', None)})" if end else "their end"
        where = at if self.family.reads_at_end else "their last token"
        return f"texts of up to {self.family.context} tokens, read at {where}"

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` and, where the model takes one, `attention_mask`, on its device.

        Long texts are cut, which is said once of each.
        """
        self.check_text()
        if self.tokenizer is None:
            raise InputError(
                f"model {self.model_name} has no tokenizer; put tokenizer.json (or vocab.json and merges.txt, or "
                "OpenAI's bpe_simple_vocab_16e6.txt.gz) beside its weights"
            )
        if new := [text for text in self.find_cut(texts) if text not in self._told]:
            self._told.update(new)
            more = f" and {len(new) - 1} more" if len(new) > 1 else ""
            LOG.warning(
                f"texts: {new[0][:40]!r} ...{more}: longer than the {self.context} tokens that {self.model_name} "
                "reads; what follows is left out"
            )
        return self.family.tokenize(self.tokenizer, texts)

    def find_cut(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that are longer than the model reads."""
        if self.text is None or self.tokenizer is None:
            return []
        return self.family.find_cut(self.tokenizer, texts)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> Float[Tensor, "text embed"]:
        """Unit embeddings of texts; InputError names one whose embedding is no number."""
        rows = [self(**self.tokenize(texts[start : start + batch])) for start in range(0, len(texts), batch)]
        embeddings = nn.functional.normalize(torch.cat(rows), dim=-1)
        check_rows(embeddings, lambda number: f"the text {texts[number]!r}")
        return embeddings

    @torch.inference_mode()
    def embed_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """Unit embeddings of preprocessed images."""
        return nn.functional.normalize(self(pixel_values.to(self.device, self.dtype)), dim=-1)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The position that a text's embedding is read at: CLIP's end of text, SigLIP's last token."""
        self.check_text()
        return self.family.text_rows(input_ids)

    def find_alike(self, input_ids: Int[Tensor, "text token"]) -> AlikeTexts | None:
        """How to compute each token of texts once; None where tokens see later ones, or no first token is common."""
        if not self.causal_mask(2)[0, 1].isinf():
            return None
        found = AlikeTexts.of(input_ids, self.text_rows(input_ids))
        return found if found.start else None

    def weights_hash(self) -> str:
        """sha256 over all named weights, as loaded: equal for equal weights, whatever file they came from."""
        digest = hashlib.sha256()
        for key, value in sorted(self.clip.state_dict().items()):
            digest.update(f"{key} {tuple(value.shape)} ".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().data)
        return digest.hexdigest()


@contextmanager
def recording(model: HookedCLIP, names: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[dict[str, Tensor]]:
    """While open, keep `keep(activation)` of every named hook point of the latest forward, in the yielded dict."""
    store: dict[str, Tensor] = {}

    def save(tensor: Tensor, hook: HookPoint) -> None:
        name = str(hook.name)
        store[name] = names[name](tensor)

    with model.hooks(fwd_hooks=[(name, save) for name in names]):
        yield store
