"""PromptSRC (arXiv 2307.06948): prompts in both towers, held near the frozen CLIP's embeddings and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, l1_loss

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import TEXT, VISION, Acting, numbered
from headroles.adapt.methods.averaging import gaussian_weights
from headroles.adapt.methods.coop import SCHEDULE
from headroles.adapt.methods.features import Batch, unit
from headroles.adapt.methods.prompted_towers import PromptedTowers, begin_words, draw_prompts, prompt_depth
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.images.prompts import check_template
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

TEMPLATES = (
    *("a photo of a {}.", "a picture of the {}.", "a blurry photo of a {}.", "a bright photo of the {}."),
    *("a dark photo of a {}.", "a close-up of a {}.", "a cropped photo of the {}.", "a photo of many {}."),
    *("a photo of a small {}.", "a photo of a large {}.", "a drawing of a {}.", "a painting of the {}."),
    *("a rendering of a {}.", "a black and white photo of the {}.", "a low resolution photo of a {}.", "one {}."),
)
"""Prompts whose mean embedding is a class's target. Ours; the published are CLIP's for ImageNet."""

_TEXTS = 256
"""Texts of one run."""


@dataclass(frozen=True)
class PromptSrcConfig(Settings):
    """Settings of PromptSRC, as published for base-to-novel."""

    context: int = 4
    """Prompts of a layer, in either tower."""
    init: str = "a photo of a"
    """Words before the class name, the first of which the first layer's text prompts begin with and replace; "": no
    words, and prompts drawn from N(0, .02)."""
    depth: int | None = None
    """Layers with prompts of their own, from layer 0 on; None: three quarters of the shallower tower's, as the
    published 9 of 12 (that rule is ours)."""
    lambda_text: float = 25.0
    """Weight of the mean absolute difference from the classes' frozen embeddings, the mean over `templates`."""
    lambda_image: float = 10.0
    """Weight of the mean absolute difference from the images' frozen embeddings."""
    lambda_logits: float = 1.0
    """Weight of KL(frozen answers || answers), over the number of classes, as in the authors' code."""
    templates: tuple[str, ...] = TEMPLATES
    """Prompts with {} for the class whose mean embedding is the class's target; the default is ours."""
    mean_at: float = 0.75
    """Centre of the Gaussian weights of epochs, as a share of them; published: 15 of 20."""
    mean_width: float = 0.05
    """Their deviation, as a share of the epochs; published: 1 of 20."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, context=1, lambda_text=0, lambda_image=0, lambda_logits=0, mean_at=0)
        self._check_above_zero("mean_width")
        if self.depth is not None:
            check_least(self, depth=1)
        if not self.templates:
            raise InputError("templates must be prompts with {} for the class, at least one, got none")
        for template in self.templates:
            check_template(template)


class PromptSrc(PromptedTowers):
    """Prompts of both towers, independent of each other."""

    name = "promptsrc"
    title = "PromptSRC"
    source = "https://arxiv.org/abs/2307.06948"
    settings = PromptSrcConfig
    preset: ClassVar[Mapping[str, Any]] = {**SCHEDULE, "lr": 2.5e-3, "batch": 4, "epochs": 20}

    config: PromptSrcConfig
    text_prompts: nn.ParameterList
    """The text tower's, layer by layer."""
    image_prompts: nn.ParameterList
    """The vision tower's, behind the patches, layer by layer."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: PromptSrcConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        count, depth = self.config.context, prompt_depth(model, self.config.depth)
        generator = torch.Generator().manual_seed(seed)
        first = begin_words(model, self.config.init, count, generator)
        deeper = draw_prompts(depth - 1, count, self.text_tower.width, generator)
        self.text_prompts = nn.ParameterList([first, *deeper])
        self._targets: tuple[tuple[str, ...], Tensor] | None = None
        self.image_prompts = nn.ParameterList(draw_prompts(depth, count, model.visual.width, generator))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [PromptSRC]({cls.source}) adapter: prompts in both towers, the mean over the epochs of its training."

    @property
    def needs_frozen_images(self) -> bool:
        return bool(self.config.lambda_image or self.config.lambda_logits)

    def targets(self, names: tuple[str, ...]) -> Float[Tensor, "class embed"]:
        """Unit mean of the classes' frozen embeddings over `templates`; computed once a list of classes."""
        if self._targets is None or self._targets[0] != names:
            self._targets = names, self._embed_targets(names)
        return self._targets[1]

    @torch.no_grad()
    def _embed_targets(self, names: tuple[str, ...]) -> Float[Tensor, "class embed"]:
        plain = [name.replace("_", " ") for name in names]
        texts = [template.replace("{}", name) for template in self.config.templates for name in plain]
        parts = [texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS)]
        rows = torch.cat([self.model(**self.model.tokenize(part)) for part in parts])
        return unit(rows.unflatten(0, (-1, len(names))).mean(0))

    def text_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        return list(self.text_prompts)

    def image_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        return list(self.image_prompts)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Cross-entropy; "text", "image": distances from the frozen embeddings; "logits": from the frozen answers."""
        config, texts = self.config, batch.texts
        images, classes = self.encode_images(batch.trunk), self.embed_texts(texts)
        logits = self.logits(images, classes)
        terms = {"ce": cross_entropy(logits, batch.labels)}
        if config.lambda_text:
            terms["text"] = config.lambda_text * l1_loss(classes, self.targets(texts.names))
        if self.needs_frozen_images:
            frozen = self.given_frozen(batch.frozen, batch.trunk)
            if config.lambda_image:
                terms["image"] = config.lambda_image * l1_loss(images, frozen)
            if config.lambda_logits:
                answers = self.logits(frozen, self.targets(texts.names)).log_softmax(-1)
                apart = kl_div(logits.log_softmax(-1), answers, reduction="sum", log_target=True)
                terms["logits"] = config.lambda_logits * apart / logits.numel()
        return logits, terms

    def epoch_weights(self, epochs: int) -> tuple[float, ...]:
        return gaussian_weights(epochs, self.config.mean_at * epochs, self.config.mean_width * epochs)

    def acting(self) -> dict[str, Acting]:
        names = self.state_dict()
        return numbered(names, "text_prompts", TEXT) | numbered(names, "image_prompts", VISION)
