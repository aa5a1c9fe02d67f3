"""DeAR (arXiv 2603.01111): attribute tokens behind role masks, text tokens, a trained readout and fusion.

The layers before the tokens enter (the trunk) hold nothing that is trained: their output is computed once and shared
by the adapted and the frozen branch, for texts once in a whole run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headroles.adapt.config import DearConfig
from headroles.adapt.methods.branches import ImageBranch, run_texts
from headroles.adapt.methods.entry import attribute_names, check_adaptable, first_layers
from headroles.adapt.methods.features import ImageFeatures, TextTrunk, at_least_single, average_classes, distance, unit
from headroles.adapt.methods.masks import build_masks, check_role_map, masked_kinds
from headroles.adapt.methods.tokens import LearnedTokens
from headroles.errors import InputError
from headroles.images.images import Preprocess
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.roles.role_map import RoleMap


class Dear(nn.Module):
    """An adapter around a frozen CLIP. Its parameters and `state_dict` are the trained tensors alone.

    `model` is frozen in place (no weight asks for gradients) and stays outside the module tree: move or cast it
    before. `seed` draws the first tokens. Trained tensors are float32 whatever the model's half precision. Raises
    InputError where role map, settings and model do not fit each other.
    """

    model: HookedCLIP
    """The frozen CLIP."""
    attribute_tokens: LearnedTokens | None
    """Of the vision tower."""
    readout: nn.Sequential | None
    """"projection" of the attribute tokens, with `train_norm` after "norm"; None where CLIP's own serves."""
    text_tokens: LearnedTokens | None
    """Of the text tower."""
    fusion: nn.Parameter | None
    """Logits of `alpha`, where it is learned."""
    _texts: Tower
    _norm: nn.Module
    _branch: ImageBranch

    def __init__(self, model: HookedCLIP, role_map: RoleMap, config: DearConfig | None = None, seed: int = 1) -> None:
        super().__init__()
        config = config or DearConfig()
        texts = check_adaptable(model)
        check_role_map(role_map, model)
        if config.text_tokens > model.context:
            raise InputError(f"text_tokens must be at most the context, {model.context}, got {config.text_tokens}")
        # Plain references: the CLIP's towers are no part of the adapter.
        self.__dict__["model"], self.__dict__["_texts"] = model.requires_grad_(False), texts
        self.config, self.role_map = config, role_map
        self.layer, self.text_layer = first_layers(model, config)
        """The first vision layer and the first text layer that learned tokens run through."""
        self.attributes = attribute_names(role_map, config)
        """The names of the attribute tokens."""
        self.scale = model.logit_scale
        generator = torch.Generator().manual_seed(seed)
        self.attribute_tokens = self.readout = self.text_tokens = self.fusion = None
        self._build_vision(generator)
        self._build_fusion()
        if config.text_tokens:
            self.text_tokens = LearnedTokens(config.text_tokens, texts.width, config.token_std, config.beta, generator)
        self.to(model.device, torch.promote_types(model.dtype, torch.float32))

    def _build_vision(self, generator: torch.Generator) -> None:
        """Attribute tokens, their masks and their readout."""
        config, tower, patches = self.config, self.model.visual, self.model.patches
        layers, variant = range(self.layer, tower.layers), (self.config.mask, self.config.mask_seed)
        self.kinds = masked_kinds(self.role_map, layers, self.attributes, *variant)
        """Layer -> what each of its heads is to the mask: a core concept's name, "isolated" or "open"."""
        masks = build_masks(self.role_map, layers, self.attributes, patches, *variant) if self.attributes else {}
        self._masked = tuple(masks)
        self.__dict__["_branch"] = ImageBranch.behind(tower, self.layer, masks, patches)
        if not self.attributes:
            return
        for layer, mask in masks.items():
            self.register_buffer(f"mask_{layer}", mask, persistent=False)
        count = len(self.attributes)
        self.attribute_tokens = LearnedTokens(count, tower.width, config.token_std, config.beta, generator)
        if config.fusion != "cls":
            self._build_readout()

    def _build_readout(self) -> None:
        """A copy of CLIP's projection to train, and of the LayerNorm before it, trained or frozen."""
        norm, projection = self.model.visual.copy_readout()
        kept = norm.to(torch.promote_types(self.model.dtype, torch.float32))
        trained = {"norm": norm} if self.config.train_norm else {}
        self.readout = nn.Sequential(OrderedDict(**trained, projection=projection)).requires_grad_(True)
        self.__dict__["_norm"] = nn.Identity() if trained else kept

    def _build_fusion(self) -> None:
        """The weights' logits, trained or fixed."""
        count = len(self.attributes)
        start = torch.ones(1 + count)
        if count:
            cls = 1.0 if self.config.fusion == "cls" else self.config.alpha_cls
            start[0], start[1:] = cls, (1 - cls) / count
        if count and self.config.fusion == "learned":
            self.fusion = nn.Parameter(start.log())
        else:
            self.register_buffer("_alpha", start, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where CLIP's weights, and so images and features, are."""
        return self.model.device

    @property
    def preprocess(self) -> Preprocess:
        """From a PIL image to what `image_trunk` takes, one image's pixels."""
        if self.model.processor is None:
            raise InputError(f"model: {self.model.model_name} has no image preprocessing; set its `processor`")
        return self.model.processor

    @property
    def alpha(self) -> Float[Tensor, "feature"]:
        """Weights of the logits of CLS and the attributes, in this order; they sum to 1."""
        return self.get_buffer("_alpha") if self.fusion is None else self.fusion.softmax(0)

    @property
    def needs_frozen_images(self) -> bool:
        """Whether the losses use frozen CLIP's image embeddings."""
        return bool(self.attributes and self.config.lambda_image)

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before the first layer with attribute tokens; no learned tensor plays a part."""
        return self.model.visual.run(self.model.start_images(pixels), range(self.layer))

    @torch.no_grad()
    def text_trunk(self, prompts: Sequence[str | Sequence[str]]) -> TextTrunk:
        """All of the prompts, one or several a class, that no learned tensor plays a part in; compute it once a run."""
        model, tower = self.model, self._texts
        groups = [(prompt,) if isinstance(prompt, str) else tuple(prompt) for prompt in prompts]
        texts = [text for group in groups for text in group]
        numbers = [number for number, group in enumerate(groups) for _ in group]
        classes = torch.tensor(numbers, device=self.device) if len(texts) > len(groups) else None
        ids = model.tokenize(texts)["input_ids"]
        residual = tower.run(model.start_texts(ids), range(self.text_layer), model.causal_mask(ids.shape[1]))
        frozen = model.embed_texts(texts).clone()  # A tensor of inference mode could not enter autograd.
        means = average_classes(at_least_single(frozen), classes)
        return TextTrunk(residual, model.text_rows(ids), means, classes)

    @torch.no_grad()
    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """Frozen CLIP's own unit embeddings, from where the trunk ends."""
        tower = self.model.visual
        return unit(tower.read(tower.run(trunk.to(self.model.dtype), range(self.layer, tower.layers))[:, 0]))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> ImageFeatures:
        """Adapted unit embeddings of images, with gradients."""
        if self.attribute_tokens is None:
            frozen = self.frozen_images(trunk)
            return ImageFeatures(frozen, frozen[:, None][:, :0])
        masks = {layer: self.get_buffer(f"mask_{layer}") for layer in self._masked}
        originals, tokens = self._branch.run(trunk.to(self.model.dtype), self.attribute_tokens, masks)
        return ImageFeatures(unit(self.model.visual.read(originals[:, 0])), unit(self._read_attributes(tokens)))

    def _read_attributes(
        self, tokens: Float[Tensor, "image attribute width"]
    ) -> Float[Tensor, "image attribute embed"]:
        if self.readout is None:
            return self.model.visual.read(tokens)
        return self.readout(self._norm(tokens.to(self.readout.get_parameter("projection.weight").dtype)))

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        """Adapted unit embeddings of classes, with gradients: the mean of several texts."""
        if self.text_tokens is None:
            return texts.frozen
        ends = run_texts(self.model, self._texts, texts, self.text_tokens, self.text_layer)
        return texts.average(unit(self._texts.read(ends)))

    def logits(self, features: ImageFeatures, texts: Float[Tensor, "text embed"]) -> Float[Tensor, "image text"]:
        """Sum over CLS and attributes of alpha * scale * cosine, never in half precision."""
        with torch.autocast(texts.device.type, enabled=False):
            alpha = self.alpha
            fused = alpha[0] * features.cls + torch.einsum("a,iae->ie", alpha[1:], features.attributes)
            return self.scale * fused @ texts.T

    def losses(
        self,
        logits: Float[Tensor, "image text"],
        labels: Int[Tensor, "image"],
        features: ImageFeatures,
        texts: Float[Tensor, "text embed"],
        frozen_images: Float[Tensor, "image embed"] | None,
        frozen_texts: Float[Tensor, "text embed"],
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of the loss, to be summed: "ce", "image", "text", "fusion".

        A term that is switched off, or has nothing to train behind it, is absent. `frozen_images` may be None where
        `needs_frozen_images` is false.
        """
        config = self.config
        terms = {"ce": cross_entropy(logits, labels)}
        if self.needs_frozen_images:
            if frozen_images is None:
                raise InputError("frozen_images: the image loss needs them; give those of Dear.frozen_images")
            terms["image"] = config.lambda_image * distance(features.cls, frozen_images)
        if self.text_tokens is not None and config.lambda_text:
            terms["text"] = config.lambda_text * distance(texts, frozen_texts)
        if self.fusion is not None and config.lambda_fusion:
            terms["fusion"] = -config.lambda_fusion * self.fusion.log_softmax(0)[0]
        return terms

    def forward(
        self,
        trunk: Float[Tensor, "image token width"],
        labels: Int[Tensor, "image"],
        texts: TextTrunk,
        frozen_images: Float[Tensor, "image embed"] | None = None,
    ) -> tuple[Float[Tensor, "image text"], dict[str, Float[Tensor, ""]]]:
        """Logits and losses of a training step; `frozen_images` are computed from the trunk where not given."""
        if frozen_images is None and self.needs_frozen_images:
            frozen_images = self.frozen_images(trunk)
        features, encoded = self.encode_images(trunk), self.encode_texts(texts)
        logits = self.logits(features, encoded)
        return logits, self.losses(logits, labels, features, encoded, frozen_images, texts.frozen)

    @torch.no_grad()
    def predict(
        self, pixels: Float[Tensor, "image 3 height width"], texts: TextTrunk | Float[Tensor, "text embed"]
    ) -> Float[Tensor, "image text"]:
        """Probabilities of the texts for preprocessed images; `texts` from `text_trunk` or `encode_texts`."""
        encoded = self.encode_texts(texts) if isinstance(texts, TextTrunk) else texts
        return self.logits(self.encode_images(self.image_trunk(pixels)), encoded).softmax(-1)

    def trainable_summary(self) -> str:
        """How many numbers are trained, of CLIP's and the adapter's together, in PEFT's words."""
        trained = sum(parameter.numel() for parameter in self.parameters())
        whole = trained + sum(parameter.numel() for parameter in self.model.parameters())
        return f"trainable params: {trained:,} || all params: {whole:,} || trainable%: {100 * trained / whole:.4f}"
