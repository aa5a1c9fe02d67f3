"""Methods that learn tokens, in plain torch, as one would write them from their papers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from mmrl import Mmrl, MmrlPlus
from plain import SCALE, Given, Plain, causal, copy_clip, draw, run_with
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, dropout, kl_div, l1_loss, layer_norm, normalize


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


class Hcvp(Plain):
    """A domain token and a task token made of each image, other ones in deeper layers; no image has a domain."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.first = self.layers - math.ceil(self.layers / 3)
        self.domain, self.task = nn.Linear(self.width, self.width), nn.Linear(2 * self.width, self.width)
        self.modulation = nn.Linear(self.width, self.width)

    def forward(self) -> Tensor:
        vision = self.clip.vision_model
        start = vision.pre_layrnorm(vision.embeddings(self.given.pixels))
        run = run_with(vision.encoder.layers[: self.first], start, {}, 0)
        seen = layer_norm(run[:, 0], run.shape[-1:])
        domain = self.domain(seen)
        made = torch.stack([domain, self.task(torch.cat([seen, domain], 1))], 1)
        deeper = self.modulation(made)
        tokens = {number: deeper if number else made for number in range(self.layers - self.first)}
        run = run_with(vision.encoder.layers[self.first :], run, tokens, run.shape[1])
        images = normalize(self.clip.visual_projection(vision.post_layernorm(run[:, 0])), dim=-1)
        contrasts = contrast(normalize(made[:, 1], dim=-1), self.given.labels), contrast(images, self.given.labels)
        return self.loss(images, self.frozen_texts) + 0.1 * sum(contrasts)


def contrast(rows: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrast: of a row's softmax over all others, -log of those of its class."""
    itself = torch.eye(len(rows), dtype=torch.bool)
    same = (labels[:, None] == labels) & ~itself
    logs = (rows @ rows.T).masked_fill(itself, -torch.inf).log_softmax(1).masked_fill(itself, 0)
    means = -(logs * same).sum(1) / same.sum(1).clamp(min=1)
    return means.sum() / same.any(1).sum().clamp(min=1)
