"""Methods as one would write them from their papers, in plain torch around transformers' CLIPModel.

For timing beside the methods of `headroles.adapt`: both towers run whole in every step, on all tokens of all texts;
what a paper computes once (frozen texts, cached features) is computed once here too. A method's numbers are those of
its defaults there, so that both train as many.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from mmrl import Mmrl, MmrlPlus
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, dropout, kl_div, l1_loss, normalize
from transformers import CLIPModel

from headroles import HookedCLIP

SCALE = 100.0
"""The factor on cosines."""


@dataclass(frozen=True)
class Given:
    """What a step works on."""

    model: HookedCLIP
    """A frozen CLIP."""
    pixels: Float[Tensor, "image 3 height width"]
    """Images."""
    labels: Int[Tensor, "image"]
    """Their classes."""
    names: Sequence[str]
    """The classes."""
    template: str
    """Their prompt."""

    @cached_property
    def clip(self) -> CLIPModel:
        """transformers' own, without hook points."""
        return copy_clip(self.model.clip).requires_grad_(False).eval()

    def tokens(self, template: str | None = None) -> Int[Tensor, "text token"]:
        """The classes' texts, by the prompt or by another."""
        texts = [(template or self.template).replace("{}", name) for name in self.names]
        return self.model.tokenize(texts)["input_ids"]

    def ends(self, ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """Where texts end."""
        return self.model.text_rows(ids)


class Plain(nn.Module):
    """A method's trained tensors; `forward` is the loss of a step."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.__dict__["given"], self.__dict__["clip"] = given, given.clip
        self.width, self.text_width = (
            config.hidden_size for config in (self.clip.config.vision_config, self.clip.config.text_config)
        )
        self.layers = self.clip.config.vision_config.num_hidden_layers
        self.embed = self.clip.config.projection_dim
        self.ids = given.tokens()
        with torch.no_grad():
            self.frozen_texts = embed_texts(self.clip, self.ids)

    def frozen_images(self) -> Float[Tensor, "image embed"]:
        with torch.no_grad():
            return embed_images(self.clip, self.given.pixels)

    def loss(self, images: Tensor, texts: Tensor) -> Tensor:
        return cross_entropy(SCALE * images @ texts.T, self.given.labels)

    def forward(self) -> Tensor:
        raise NotImplementedError

    def images_with(self, tokens: Mapping[int, Tensor], mask: Tensor | None = None) -> Tensor:
        """Unit embeddings of images with tokens behind the patches, in layers of their own."""
        vision = self.clip.vision_model
        start = vision.pre_layrnorm(vision.embeddings(self.given.pixels))
        run = run_with(vision.encoder.layers, start, tokens, start.shape[1], mask)
        return normalize(self.clip.visual_projection(vision.post_layernorm(run[:, 0])), dim=-1)

    def texts_with(self, ids: Tensor, tokens: Mapping[int, Tensor], replaced: int) -> Tensor:
        """Unit embeddings of texts with tokens behind BOT, the first of which are given without positions.

        `replaced` tokens of the text give way.
        """
        text, count = self.clip.text_model, len(tokens[0])
        embedded = text.embeddings.token_embedding(ids)
        rest = embedded[:, 1 + replaced :]
        joined = torch.cat([embedded[:, :1], tokens[0].expand(len(ids), -1, -1), rest], 1)
        start, deeper = text.embeddings(inputs_embeds=joined), {layer: tokens[layer] for layer in tokens if layer}
        run = run_with(text.encoder.layers, start, deeper, 1, causal(joined.shape[1]), count)
        ends = run[torch.arange(len(ids)), self.given.ends(ids) + count - replaced]
        return normalize(self.clip.text_projection(text.final_layer_norm(ends)), dim=-1)


class Coop(Plain):
    """Context vectors before the names."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.context = nn.Parameter(0.02 * torch.randn(4, self.text_width))
        self.names = given.tokens("{}.")

    def forward(self) -> Tensor:
        return self.loss(self.frozen_images(), self.texts_with(self.names, {0: self.context}, 0))


class Cocoop(Coop):
    """Context vectors moved by each image, whose texts are encoded one image after the other, as published."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        narrow = self.embed // 16
        self.meta = nn.Sequential(nn.Linear(self.embed, narrow), nn.ReLU(), nn.Linear(narrow, self.text_width))

    def forward(self) -> Tensor:
        images = self.frozen_images()
        logits = [
            SCALE * image @ self.texts_with(self.names, {0: self.context + move}, 0).T
            for image, move in zip(images, self.meta(images), strict=True)
        ]
        return cross_entropy(torch.stack(logits), self.given.labels)


class Maple(Plain):
    """Prompts of the first layers of the text tower, mapped to the vision tower."""

    def __init__(self, given: Given, count: int = 2) -> None:
        super().__init__(given)
        self.depth = max(1, 3 * self.layers // 4)
        self.prompts = nn.ParameterList(draw(self.depth, count, self.text_width))
        self.maps = nn.ModuleList(nn.Linear(self.text_width, self.width) for _ in range(self.depth))

    def forward(self) -> Tensor:
        mapped = dict(enumerate(map(lambda to, prompts: to(prompts), self.maps, self.prompts)))
        mapped[0] = self.clip.vision_model.pre_layrnorm(mapped[0])
        texts = self.texts_with(self.ids, dict(enumerate(self.prompts)), len(self.prompts[0]))
        return self.loss(self.images_with(mapped), texts)


class PromptSrc(Plain):
    """Prompts of both towers, held near the frozen CLIP."""

    def __init__(self, given: Given, count: int = 4) -> None:
        super().__init__(given)
        self.depth = max(1, 3 * self.layers // 4)
        self.text_prompts = nn.ParameterList(draw(self.depth, count, self.text_width))
        self.image_prompts = nn.ParameterList(draw(self.depth, count, self.width))

    def forward(self) -> Tensor:
        prompts = dict(enumerate(self.image_prompts))
        prompts[0] = self.clip.vision_model.pre_layrnorm(prompts[0])
        images, frozen = self.images_with(prompts), self.frozen_images()
        texts = self.texts_with(self.ids, dict(enumerate(self.text_prompts)), len(self.text_prompts[0]))
        logits, before = (SCALE * one @ other.T for one, other in ((images, texts), (frozen, self.frozen_texts)))
        apart = kl_div(logits.log_softmax(-1), before.log_softmax(-1), reduction="sum", log_target=True)
        held = 25 * l1_loss(texts, self.frozen_texts) + 10 * l1_loss(images, frozen) + apart / logits.numel()
        return cross_entropy(logits, self.given.labels) + held


class Tac(Plain):
    """Prompts of all layers of both towers, and mapped centres beside them."""

    def __init__(self, given: Given, count: int = 5, clusters: int = 5) -> None:
        super().__init__(given)
        self.text_prompts = nn.ParameterList(draw(self.layers, count, self.text_width))
        self.image_prompts = nn.ParameterList(draw(self.layers, count, self.width))
        self.centres = self.frozen_texts[:clusters]
        self.text_map, self.image_map = nn.Linear(self.embed, self.text_width), nn.Linear(self.embed, self.width)
        originals = 1 + given.model.patches
        self.mask = torch.zeros(2 * [originals + clusters + count])
        self.mask[1:originals, originals : originals + clusters] = -torch.inf

    def forward(self) -> Tensor:
        own, centres = {}, self.image_map(self.centres)
        for layer, prompts in enumerate(self.image_prompts):
            own[layer] = torch.cat([centres, prompts])
        own[0] = self.clip.vision_model.pre_layrnorm(own[0])
        images, frozen = dropout(self.images_with(own, self.mask), 0.3), self.frozen_images()
        centres = self.text_map(self.centres)
        tokens = {layer: torch.cat([centres, prompts]) for layer, prompts in enumerate(self.text_prompts)}
        texts = self.texts_with(self.ids, tokens, 0)
        return self.loss(images, texts) + 20 * l1_loss(texts, self.frozen_texts) + 25 * l1_loss(images, frozen)


class FineTuning(Plain):
    """All weights of both towers."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.tuned = copy_clip(self.clip)
        self.tuned.logit_scale.requires_grad_(False)

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), embed_texts(self.tuned, self.ids))


class ClipCite(FineTuning):
    """All weights, and a vector a class: three losses."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.vectors = nn.Parameter(self.frozen_texts.clone())

    def forward(self) -> Tensor:
        labels = self.given.labels
        images, frozen = embed_images(self.tuned, self.given.pixels), self.frozen_images()
        texts = embed_texts(self.tuned, self.ids[labels])
        similar, before = SCALE * images @ texts.T, SCALE * frozen @ self.frozen_texts[labels].T
        own = torch.arange(len(labels))
        contrast = (cross_entropy(similar, own) + cross_entropy(similar.T, own)) / 2
        apart = kl_div(before.log_softmax(-1), similar.log_softmax(-1), reduction="batchmean", log_target=True)
        return self.loss(images, normalize(self.vectors, dim=-1)) + 0.7 * contrast + 0.1 * apart


class SkipTuning(Plain):
    """Copies of the later layers, behind features that are kept; few classes a step."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        first, vision, text = self.layers * 5 // 12, self.clip.vision_model, self.clip.text_model
        self.image_layers, self.text_layers = (copy_clip(tower.encoder.layers[first:]) for tower in (vision, text))
        self.ends = copy_clip(
            nn.ModuleList(
                [vision.post_layernorm, self.clip.visual_projection, text.final_layer_norm, self.clip.text_projection]
            )
        )
        self.mask = causal(self.ids.shape[1])
        with torch.no_grad():
            self.images = run_with(
                vision.encoder.layers[:first], vision.pre_layrnorm(vision.embeddings(given.pixels)), {}, 0
            )
            self.texts = run_with(text.encoder.layers[:first], text.embeddings(self.ids), {}, 0, self.mask)
            self.similar = self.frozen_images() @ self.frozen_texts.T
        self.kept = max(1, min(50, len(self.ids) // 2))

    def forward(self) -> Tensor:
        labels = self.given.labels
        similar = self.similar.scatter(1, labels[:, None], torch.inf)
        ranks = similar.argsort(dim=1, descending=True).argsort(dim=1)
        kept = torch.rand(ranks.shape) < torch.exp(-0.3 * (ranks - self.kept + 1).clamp(min=0))
        present = kept.any(0).nonzero()[:, 0]
        images = run_with(self.image_layers, self.images, {}, 0)[:, 0]
        texts = run_with(self.text_layers, self.texts[present], {}, 0, self.mask)
        texts = texts[torch.arange(len(present)), self.given.ends(self.ids)[present]]
        image_norm, image_end, text_norm, text_end = self.ends
        images = normalize(image_end(image_norm(images)), dim=-1)
        texts = normalize(text_end(text_norm(texts)), dim=-1)
        return cross_entropy(SCALE * images @ texts.T, torch.searchsorted(present, labels))


class LinearProbe(Plain):
    """A linear layer behind features that are kept."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.linear = nn.Linear(self.embed, len(given.names))
        self.features = SCALE * self.frozen_images()

    def forward(self) -> Tensor:
        return cross_entropy(self.linear(self.features), self.given.labels)


class TipAdapterF(Plain):
    """The keys of a cache."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.keys = nn.Parameter(self.frozen_images())
        self.values = torch.eye(len(given.names))[given.labels]

    def forward(self) -> Tensor:
        images = self.frozen_images()
        near = torch.exp(5.5 * (images @ self.keys.T - 1))
        return cross_entropy(SCALE * images @ self.frozen_texts.T + near @ self.values, self.given.labels)


class ClipLora(Plain):
    """Low-rank sums by `peft`, wrapped around a copy of the model."""

    def __init__(self, given: Given) -> None:
        from peft import LoraConfig, get_peft_model

        super().__init__(given)
        lora = LoraConfig(
            r=2, lora_alpha=1, lora_dropout=0.25, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj"]
        )
        self.tuned = get_peft_model(copy_clip(self.clip), lora).train().base_model.model

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), embed_texts(self.tuned, self.ids))


class MmrlStep(Plain):
    """`mmrl.py`."""

    kind = Mmrl

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.method = self.kind(given.model)

    def forward(self) -> Tensor:
        return self.method(self.given.pixels, self.given.labels, self.ids, self.frozen_texts)


class MmrlPlusStep(MmrlStep):
    """The same of MMRL++."""

    kind = MmrlPlus


class Dear(Plain):
    """Attribute tokens behind given masks in the last third of the layers, text tokens, a second projection, fusion."""

    masks: Mapping[int, Tensor]
    """Layer -> mask, set by whoever knows the roles."""

    def __init__(self, given: Given, count: int = 5, text_count: int = 4) -> None:
        super().__init__(given)
        self.first, self.masks = 2 * self.layers // 3, {}
        self.tokens = nn.Parameter(0.02 * torch.randn(count, self.width))
        self.text_tokens = nn.Parameter(0.02 * torch.randn(text_count, self.text_width))
        self.projection = copy_clip(self.clip.visual_projection)
        self.fusion = nn.Parameter(torch.zeros(1 + count))

    def forward(self) -> Tensor:
        vision, text, count = self.clip.vision_model, self.clip.text_model, len(self.tokens)
        start = vision.pre_layrnorm(vision.embeddings(self.given.pixels))
        joined = self._run(vision.encoder.layers, start, self.tokens, start.shape[1], self.masks)
        normed = vision.post_layernorm(joined)
        cls = normalize(self.clip.visual_projection(normed[:, 0]), dim=-1)
        own = normalize(self.projection(normed[:, -count:]), dim=-1)
        start = text.embeddings(self.ids)
        masks = {
            layer: causal(start.shape[1] + (len(self.text_tokens) if layer >= self.first else 0))
            for layer in range(self.layers)
        }
        joined = self._run(text.encoder.layers, start, self.text_tokens, 1, masks)
        ends = joined[torch.arange(len(self.ids)), self.given.ends(self.ids) + len(self.text_tokens)]
        texts = normalize(self.clip.text_projection(text.final_layer_norm(ends)), dim=-1)
        alpha = self.fusion.softmax(0)
        apart = [
            1 - cosine_similarity(*pair, dim=-1).mean()
            for pair in ((cls, self.frozen_images()), (texts, self.frozen_texts))
        ]
        fused = alpha[0] * cls + torch.einsum("a,iae->ie", alpha[1:], own)
        return self.loss(fused, texts) + 0.5 * sum(apart) - 0.1 * alpha[0].log()

    def _run(self, layers: nn.ModuleList, start: Tensor, own: Tensor, at: int, masks: Mapping[int, Tensor]) -> Tensor:
        """Tokens from `first` on; entering a later layer, half themselves and half what the one before made of them."""
        run, count = start, len(own)
        for number, layer in enumerate(layers):
            if number == self.first:
                run = torch.cat([run[:, :at], own.expand(len(run), -1, -1), run[:, at:]], 1)
            elif number > self.first:
                mixed = 0.5 * own + 0.5 * run[:, at : at + count]
                run = torch.cat([run[:, :at], mixed, run[:, at + count :]], 1)
            run = layer(run, attention_mask=masks.get(number))
        return run


PLAIN: Mapping[str, type[Plain]] = {
    **{"dear": Dear, "coop": Coop, "cocoop": Cocoop, "maple": Maple, "promptsrc": PromptSrc, "mmrl": MmrlStep},
    **{"mmrlpp": MmrlPlusStep, "tac": Tac, "fine-tuning": FineTuning, "clip-cite": ClipCite, "clip-lora": ClipLora},
    **{"skip-tuning": SkipTuning, "linear-probe": LinearProbe, "tip-adapter-f": TipAdapterF},
}
"""Name of a method -> its plain implementation."""


def draw(layers: int, count: int, width: int) -> list[Tensor]:
    """Prompts of every layer at their start."""
    return list(0.02 * torch.randn(layers, count, width))


def embed_images(clip: CLIPModel, pixels: Tensor) -> Float[Tensor, "image embed"]:
    """Unit embeddings."""
    return normalize(clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)


def embed_texts(clip: CLIPModel, ids: Tensor) -> Float[Tensor, "text embed"]:
    """Unit embeddings."""
    return normalize(clip.get_text_features(input_ids=ids).pooler_output, dim=-1)


def causal(tokens: int) -> Float[Tensor, "1 1 query key"]:
    """0 for a token and those before it, -inf for later ones."""
    return torch.full((1, 1, tokens, tokens), -torch.inf).triu(1)


def run_with(
    layers: Sequence[nn.Module], start: Tensor, tokens: Mapping[int, Tensor], at: int, mask: Tensor | None = None,
    there: int = 0,
) -> Tensor:  # fmt: skip
    """All layers, with tokens from position `at` on; a layer's own take the place of the `there` earlier ones."""
    run = start
    for number, layer in enumerate(layers):
        if number in tokens:
            own = tokens[number].expand(len(run), -1, -1)
            run, there = torch.cat([run[:, :at], own, run[:, at + there :]], 1), own.shape[1]
        run = layer(run, attention_mask=mask)
    return run


def copy_clip(module: nn.Module) -> nn.Module:
    """A copy to train, without hooks."""
    copied = copy.deepcopy(module).requires_grad_(True)
    for each in copied.modules():
        each._forward_pre_hooks.clear()
        each._forward_hooks.clear()
    return copied
